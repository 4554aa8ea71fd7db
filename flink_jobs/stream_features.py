"""Compute feature rows from blocks as they come: a folder that grows, or Kafka, until stopped.

The same job as `backfill_features.py`; the job file decides. Usage: python stream_features.py JOB.json
"""

from lineshaft_flink.job import main

if __name__ == "__main__":
    raise SystemExit(main())
