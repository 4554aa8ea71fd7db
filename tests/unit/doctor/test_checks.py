"""Checks end, whatever they meet, and each tells what it found."""

from __future__ import annotations

import threading
import time

from lineshaft.doctor.checks import Finding, examine
from lineshaft.errors import UnavailableError


def refused() -> Finding:
    """Meet an error of ours."""
    raise UnavailableError("nobody answers", fix="start it")


def broken() -> Finding:
    """Meet an error that nobody foresaw."""
    raise KeyError("used_memory")


def test_an_error_is_a_finding_and_the_others_go_on() -> None:
    """Ours keeps its remedy; an unforeseen one is told as it is; the order is that of the checks."""
    found = examine({"refused": refused, "broken": broken, "well": lambda: Finding(says="all")}, patience_s=5.0)

    assert list(found) == ["refused", "broken", "well"]
    assert found["refused"] == Finding(state="fail", says="nobody answers", fix="start it")
    assert found["broken"].state == "fail"
    assert "used_memory" in found["broken"].says
    assert found["well"] == Finding(says="all")


def test_one_that_hangs_fails_and_holds_up_nobody() -> None:
    """Two that hang cost their time once, not twice."""
    ending = threading.Event()

    def hung() -> Finding:
        ending.wait(30.0)
        return Finding(says="late")

    start = time.monotonic()
    found = examine({"one": hung, "other": hung, "well": lambda: Finding(says="all")}, patience_s=0.3)
    ending.set()

    assert time.monotonic() - start < 5.0
    assert [finding.state for finding in found.values()] == ["fail", "fail", "ok"]
    assert "0.3 s" in found["one"].says
