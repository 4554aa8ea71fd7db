"""What a job runs on: a Java, a configuration, an environment for its process."""

from __future__ import annotations

import sys
from pathlib import Path

from pyflink.common import Configuration

from lineshaft_flink.job_file import JobFile


def configuration(job: JobFile) -> Configuration:
    """Return Flink's configuration for a job."""
    settings = {
        "python.executable": sys.executable,
        "python.client.executable": sys.executable,
        "parallelism.default": str(job.parallelism),
        "pipeline.name": job.name,
        "pipeline.auto-watermark-interval": "200 ms",
        "execution.checkpointing.mode": "EXACTLY_ONCE",
        "execution.checkpointing.interval": f"{round(job.checkpoint_s * 1000)} ms",
        "execution.checkpointing.storage": "filesystem",
        "execution.checkpointing.dir": uri(job.checkpoints),
        "execution.checkpointing.timeout": "10 min",
        "execution.checkpointing.externalized-checkpoint-retention": "RETAIN_ON_CANCELLATION",
        "execution.checkpointing.num-retained": "2",
        "state.backend.type": "hashmap",
        "restart-strategy.type": "fixed-delay",
        "restart-strategy.fixed-delay.attempts": str(job.restarts),
        "restart-strategy.fixed-delay.delay": f"{round(job.restart_delay_s * 1000)} ms",
        "python.fn-execution.arrow.batch.size": str(job.batch_rows),
        "python.fn-execution.bundle.size": str(job.batch_rows),
        "python.fn-execution.bundle.time": str(job.bundle_ms),
        "python.metric.enabled": "true",
        "pipeline.object-reuse": "true",
        # An idle source must hold time back: declared idle, its backlog was dropped as late, silently.
        "table.exec.source.idle-timeout": "0 ms",
    }
    if job.restore:
        settings["execution.state-recovery.path"] = uri(job.restore)
    if job.jars:
        settings["pipeline.jars"] = ";".join(uri(jar) for jar in job.jars)
    made = Configuration()
    for name, value in {**settings, **job.options}.items():
        made.set_string(name, value)
    return made


def uri(path: str) -> str:
    """Return a path as a URI; what names a scheme already stays (Flink writes `file:/x`, others `s3://x`)."""
    scheme = path.partition(":")[0]
    return path if ":" in path and scheme.isalnum() else Path(path).resolve().as_uri()
