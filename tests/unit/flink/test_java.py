"""The environment of a job's process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from lineshaft_flink.java import child_environment

BATCHES = """
import resource
import pyarrow as pa
for number in range(20):
    if number == 12:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    payload = bytes(40_000_000)
    kept = pa.py_buffer(payload)
    copied = pa.allocate_buffer(40_000_000, resizable=True)
    memoryview(copied)[:] = kept
    del payload, kept, copied
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def test_the_memory_of_one_batch_serves_the_next(tmp_path: Path) -> None:
    """Eight batches of 40 MB, each copied once, fault in no page to speak of; given back each time: 78,000."""
    environment = child_environment(heap="", logs=tmp_path)
    run = subprocess.run([sys.executable, "-c", BATCHES], env=environment, capture_output=True, text=True, check=True)
    assert int(run.stdout) < 1000


def test_what_the_operator_set_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory is an operator's matter: a value of theirs goes before ours."""
    monkeypatch.setenv("MALLOC_ARENA_MAX", "4")
    assert child_environment(heap="", logs=tmp_path)["MALLOC_ARENA_MAX"] == "4"
