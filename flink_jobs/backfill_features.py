"""Compute feature rows from blocks that are all there: bounded input, then the end.

The same job as `stream_features.py`; the job file decides. Usage: python backfill_features.py JOB.json
"""

from lineshaft_flink.job import main

if __name__ == "__main__":
    raise SystemExit(main())
