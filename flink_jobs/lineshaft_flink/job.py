"""The job: one builder for stream and backfill, mini-cluster and cluster, files and Kafka.

    blocks ─► tiles (vectorised, stateless) ─► by entity ─► windows (ONE operator) ─┬─► online store
                                                                                    └─► Parquet parts (exactly once)

The job's clock is RECEIPT time: watermarks run on `known_us`, so that "what was known at K" is the same in every run.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pyflink.common.typeinfo import Types
from pyflink.datastream import DataStream, StreamExecutionEnvironment
from pyflink.table import DataTypes, Schema, StreamTableEnvironment
from pyflink.table.udf import udf

from lineshaft_flink.job_file import Feed, JobFile
from lineshaft_flink.operators import OUTPUT, MakeTiles, Windows, WriteOnline, element_key
from lineshaft_flink.runtime import configuration, uri

_log = logging.getLogger(__name__)

_COLUMNS = (
    "`asset_id` STRING, `position` STRING, `start_us` BIGINT, `known_us` BIGINT, `sequence` BIGINT, `rate_hz` DOUBLE, "
    "`dtype` STRING, `payload` BYTES, `shaft_hz` DOUBLE, `bearing` STRING, `full_scale` DOUBLE"
)
_NAMES = (
    "`asset_id`, `position`, `start_us`, `known_us`, `sequence`, `rate_hz`, `dtype`, `payload`, `shaft_hz`, `bearing`, "
    "`full_scale`"
)


def build(job: JobFile) -> tuple[StreamExecutionEnvironment, Any]:
    """Return the environment and the statement set that hold the job, ready to execute."""
    environment = StreamExecutionEnvironment.get_execution_environment(configuration(job))
    tables = StreamTableEnvironment.create(environment)
    rows = [_feed_rows(tables, job, number) for number in range(len(job.feeds))]
    merged = rows[0].union(*rows[1:]) if len(rows) > 1 else rows[0]
    if job.redis_url:
        views = [view.to_json() for feed in job.feeds for view in feed.views]
        writer = WriteOnline(views, redis_url=job.redis_url, project=job.project)
        merged.map(writer, output_type=Types.INT()).name("online").uid("online")
    statements = tables.create_statement_set()
    tables.execute_sql(
        "CREATE TEMPORARY TABLE `staging` (`view` STRING, `entity` STRING, `payload` BYTES) WITH ('connector'="
        f"'filesystem', 'format'='parquet', 'path'='{uri(job.staging)}', 'parquet.compression'='UNCOMPRESSED')"
    )
    statements.add_insert("staging", tables.from_data_stream(merged, _output_schema()))
    statements.attach_as_datastream()
    return environment, statements


def _feed_rows(tables: StreamTableEnvironment, job: JobFile, number: int) -> DataStream:
    """Return the rows and refusals of one feed: source, tiles, windows."""
    feed = job.feeds[number]
    views = [view.to_json() for view in feed.views]
    parts = []
    if feed.history:
        tables.execute_sql(_folder_table(f"history_{number}", feed.history, lag_ms=None, monitor_s=0))
        parts.append(_tiles_query(tables, views, table=f"history_{number}", wire=False))
    if feed.live:
        lag_ms = -(-job.lag_us // 1000)
        tables.execute_sql(_folder_table(f"live_{number}", feed.live, lag_ms=lag_ms, monitor_s=job.monitor_s))
        parts.append(_tiles_query(tables, views, table=f"live_{number}", wire=False))
    if feed.topic:
        tables.execute_sql(_kafka_table(f"topic_{number}", feed, lag_ms=-(-job.lag_us // 1000)))
        parts.append(_tiles_query(tables, views, table=f"topic_{number}", wire=True))
    streams = [tables.to_data_stream(tables.sql_query(query)) for query in parts]
    tiled = streams[0].union(*streams[1:]) if len(streams) > 1 else streams[0]
    windows = Windows(views, after_us=job.after_us, until_us=job.until_us)
    keyed = tiled.key_by(element_key, key_type=Types.STRING())
    return keyed.process(windows, output_type=OUTPUT).name(f"windows {number}").uid(f"windows-{number}")


def _tiles_query(tables: StreamTableEnvironment, views: Sequence[str], *, table: str, wire: bool) -> str:
    """Return the query that turns blocks of a table into packed tiles; rows of a batch past its elements are null."""
    function = f"tiles_{table}"
    arguments = [DataTypes.BYTES()] if wire else None
    tables.create_temporary_function(
        function,
        udf(MakeTiles(views, wire=wire), input_types=arguments, result_type=DataTypes.BYTES(), func_type="pandas"),
    )
    columns = "`value`" if wire else _NAMES
    # the names are ours: a function and a table made just now
    return f"SELECT packed FROM (SELECT {function}({columns}) AS packed FROM {table}) WHERE packed IS NOT NULL"  # noqa: S608


def _folder_table(name: str, folder: str, *, lag_ms: int | None, monitor_s: float) -> str:
    """Return the table of a folder. Without a lag it is history: read in any order, no time passes till its end.

    A clock is two operators between source and function, each of which copies every payload: history has none.
    """
    monitor = f", 'source.monitor-interval'='{round(monitor_s * 1000)} ms'" if monitor_s else ""
    return (
        f"CREATE TEMPORARY TABLE {name} ({_COLUMNS}{'' if lag_ms is None else _receipt_clock(lag_ms)}) "
        f"WITH ('connector'='filesystem', 'format'='parquet', 'path'='{uri(folder)}'{monitor})"
    )


def _receipt_clock(lag_ms: int) -> str:
    clock = "TO_TIMESTAMP_LTZ(`known_us` / 1000, 3)"
    return f", `known` AS {clock}, WATERMARK FOR `known` AS `known` - {_interval(lag_ms)}"


def _kafka_table(name: str, feed: Feed, *, lag_ms: int) -> str:
    return (
        f"CREATE TEMPORARY TABLE {name} (`value` BYTES, `known` TIMESTAMP_LTZ(3) METADATA FROM 'timestamp', "
        f"WATERMARK FOR `known` AS `known` - {_interval(lag_ms)}) "
        f"WITH ('connector'='kafka', 'topic'='{feed.topic}', 'properties.bootstrap.servers'='{feed.brokers}', "
        f"'properties.group.id'='{feed.group}', 'scan.startup.mode'='earliest-offset', 'value.format'='raw')"
    )


def _interval(lag_ms: int) -> str:
    """Write a lag in SQL: at most 99 days."""
    days, rest = divmod(lag_ms, 86_400_000)
    hours, rest = divmod(rest, 3_600_000)
    minutes, rest = divmod(rest, 60_000)
    return f"INTERVAL '{days} {hours:02d}:{minutes:02d}:{rest / 1000:06.3f}' DAY(2) TO SECOND(3)"


def _output_schema() -> Schema:
    columns = (("view", DataTypes.STRING()), ("entity", DataTypes.STRING()), ("payload", DataTypes.BYTES()))
    builder = Schema.new_builder()
    for name, kind in columns:
        builder = builder.column(name, kind)
    return builder.build()


def run(path: Path, *, detached: bool = False) -> None:
    """Build the job that a job file describes and run it to its end; detached, only hand it to the cluster."""
    job = JobFile.read(path)
    environment, _ = build(job)
    client = environment.execute_async(job.name)
    _log.info("job %s started", client.get_job_id())
    if not detached:
        client.get_job_execution_result().result()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the job file named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("job_file", type=Path, help="what `lineshaft_flink.job_file.JobFile.write` wrote")
    parser.add_argument("--detached", action="store_true", help="do not wait for its end (`flink run -d`)")
    given = parser.parse_args(arguments)
    run(given.job_file, detached=given.detached)
    return 0
