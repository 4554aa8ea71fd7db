"""Where blocks and feature rows are kept: ports, their real adapters and a memory twin of each.

| about | begin with | then |
|---|---|---|
| what a store promises | `ports` | |
| tables of Parquet | `delta` | `delta_log`, `data_files`, `parquet_read`, `parquet_write`, `scan`, `compaction` |
| the point-in-time join | `point_in_time` | `entities`, `fetch`, `columns`; newest rows alone: `newest` |
| rows in Redis | `online_redis` | `online_rows`, `replacement`, `online_report`, `embedded` (a server of our own) |
| which server holds a row | `servers`, `links` | `one_server`; `sentinel`, `votes`, `watch`; `cluster…`, `exchange` |
| talking to a server in time | `redis_link` | `resp`, `key_changes` (what it says unasked) |
| rows near the reader | `near_cache` | `shelves`, `racks`, `rack_room`, `places`; `known_rows`, `emptied` |
| answers that were given | `served_log` | `whole_files` |
"""
