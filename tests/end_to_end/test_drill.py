"""A drill as a user runs it: real servers, a real Redis, real faults, and a report of what clients saw."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

COMMAND = [sys.executable, "-m", "lineshaft.cli", "drill", "--hold", "2", "--rate", "40", "--json"]


def drilled(tmp_path: Path, *names: str) -> tuple[list[dict[str, Any]], str]:
    """Run drills; return their reports and what was said beside them."""
    ours = {**os.environ, "LINESHAFT_REDIS_TIMEOUT_S": "0.025"}  # noqa: TID251 - the patience that a plant has
    done = subprocess.run([*COMMAND, *names], cwd=tmp_path, env=ours, capture_output=True, text=True, check=False)
    assert done.stdout, done.stderr
    reports: list[dict[str, Any]] = json.loads(done.stdout)
    kept = all(report["kept"] for report in reports)
    assert done.returncode == (0 if kept else 1)
    return reports, done.stderr


@pytest.mark.heavy
def test_no_fault_fails_a_call_or_tells_a_lie(tmp_path: Path) -> None:
    """Under each fault every call is answered, rightly, and old rows are marked; Redis away is seen as degraded."""
    reports, _ = drilled(tmp_path)
    seen = {report["drill"]: report for report in reports}

    for report in reports:
        harm = [report[what] for what in ("failed", "wrong_values", "missing_values", "stale_unsaid")]
        assert harm == [0, 0, 0, 0], report
        assert report["calls"] > 100
    for name in ("redis-down", "redis-hang", "redis-slow", "redis-thin", "redis-hole"):
        assert seen[name]["degraded"] > 20, name
        assert seen[name]["oldest_s"] > 1.5, name
    assert seen["corrupt"]["corrupt_values"] > 0
    assert seen["clock-skew"]["newest_s"] < -3000
    assert list(tmp_path.iterdir()) == []


@pytest.mark.heavy
def test_an_overload_is_refused_and_recovered_from(tmp_path: Path) -> None:
    """Most is refused, some is answered, in JSON; and seconds later all is answered again."""
    (report,), _ = drilled(tmp_path, "overload", "--workers", "1")

    assert report["drill"] == "overload"
    assert report["asked_per_s"] > 4 * report["peak_per_s"] > 400
    assert 0 < report["goodput"] < 1.5
    assert report["refused"] > report["answered_per_s"]
    assert report["recovered_after_s"] < 4.0


def test_an_overload_is_drilled_by_itself(tmp_path: Path) -> None:
    """It wants the machine for itself."""
    done = subprocess.run([*COMMAND, "overload", "apply"], cwd=tmp_path, capture_output=True, text=True, check=False)

    assert done.returncode == 1
    assert "overload is drilled by itself" in done.stderr


def test_an_unknown_drill_is_refused_before_anything_is_built(tmp_path: Path) -> None:
    """The names there are, are told."""
    done = subprocess.run([*COMMAND, "fire"], cwd=tmp_path, capture_output=True, text=True, check=False)

    assert done.returncode == 1
    assert "no drill 'fire'" in done.stderr
    assert "redis-hang" in done.stderr
