"""A line for each call that was not answered well: what it says, when there is none, and that it holds up nobody."""

from __future__ import annotations

import io
import json
import logging
import os
import threading
import time
from typing import Any

import pytest

from lineshaft.serving.call_log import CallLog, log_lines
from lineshaft.serving.calls import KEY, Call


def logged(caplog: pytest.LogCaptureFixture, *calls: tuple[Call, str, float], log: CallLog | None = None) -> list[Any]:
    """Return level and fields of what is logged of calls."""
    caplog.clear()
    with caplog.at_level(logging.INFO):
        for call in calls:
            (log or CallLog(slow_s=0.1))(*call)
    return [(record.levelname, vars(record)["fields"]) for record in caplog.records]


def test_a_refused_call_has_a_line_with_all_that_is_known(caplog: pytest.LogCaptureFixture) -> None:
    """What was asked, how it ended, and the name its caller gave it."""
    call = Call("/lineshaft.rpc.v1.FeatureService/GetFeatures", [(KEY, "alarm-17")])
    call.feature_service, call.error, call.degraded = "health", "LS-INP", True

    assert logged(caplog, (call, "INVALID_ARGUMENT", 0.0012)) == [
        (
            "INFO",
            {
                "request_id": "alarm-17",
                "method": "GetFeatures",
                "code": "INVALID_ARGUMENT",
                "error": "LS-INP",
                "feature_service": "health",
                "ms": 1.2,
                "degraded": True,
            },
        )
    ]


@pytest.mark.parametrize(
    ("code", "seconds", "lasting", "level"),
    [
        ("OK", 0.05, False, None),
        ("OK", 0.1, False, "WARNING"),
        ("OK", 90.0, True, None),
        ("NOT_FOUND", 0.0, False, "INFO"),
        ("CANCELLED", 90.0, True, "INFO"),
        ("UNAVAILABLE", 0.0, False, "WARNING"),
        ("INTERNAL", 0.0, True, "WARNING"),
    ],
)
def test_who_is_to_blame_makes_the_level(
    caplog: pytest.LogCaptureFixture, code: str, seconds: float, *, lasting: bool, level: str | None
) -> None:
    """Quick answers and long streams have no line; a caller's mistake is no warning."""
    call = Call("/s/M")
    call.lasting = lasting

    assert [one for one, _ in logged(caplog, (call, code, seconds))] == ([level] if level else [])


def test_no_call_is_slow_where_none_is_to_be(caplog: pytest.LogCaptureFixture) -> None:
    """By 0."""
    assert logged(caplog, (Call("/s/M"), "OK", 90.0), log=CallLog(slow_s=0.0)) == []


def test_a_flood_of_refusals_is_none_of_lines(caplog: pytest.LogCaptureFixture) -> None:
    """So many a second; the first of the next second says how many were left out."""
    now = [5.0]
    log = CallLog(most=3, clock=lambda: now[0])
    refused = (Call("/s/M"), "NOT_FOUND", 0.0)
    assert len(logged(caplog, *[refused] * 50, log=log)) == 3

    now[0] = 6.2
    lines = logged(caplog, *[refused] * 2, log=log)

    assert [fields.get("left_out") for _, fields in lines] == [47, None]


def lines_of(style: Any) -> list[str]:
    """Return the lines of a log with a refusal, an error of ours and one of others."""
    out = io.StringIO()
    with log_lines(out, style):
        CallLog()(Call("/s/M", [(KEY, 'a "b"')]), "NOT_FOUND", 0.5)
        logging.getLogger("lineshaft.serving").error("unexpected", exc_info=KeyError("lost"))
        logging.getLogger("someone.else").info("chatter")
    CallLog()(Call("/s/M"), "NOT_FOUND", 0.5)
    return out.getvalue().splitlines()


def test_every_line_is_json_where_that_is_asked_for() -> None:
    """Fields, tracebacks and all; others' chatter is left out, and what comes after the end."""
    refused, error = (json.loads(line) for line in lines_of("json"))

    assert (refused["request_id"], refused["code"], refused["ms"]) == ('a "b"', "NOT_FOUND", 500.0)
    assert (refused["level"], refused["logger"]) == ("warning", "lineshaft.serving.call_log")
    assert refused["time"].endswith("+00:00")
    assert "KeyError: 'lost'" in error["exception"]


def test_lines_for_people_say_the_same() -> None:
    """Name=value behind the words; what is empty is left out."""
    first, second, *_ = lines_of("text")

    assert "WARNING call not answered" in first
    assert r'request_id="a \"b\"" method="M" code="NOT_FOUND"' in first
    assert "degraded" not in first
    assert "unexpected" in second


def test_a_terminal_that_hangs_holds_up_nobody() -> None:
    """A pipe that nobody reads from is full after some lines: the rest goes, the callers go on."""
    read, write = os.pipe()
    with open(read) as reading, open(write, "w") as writing:  # noqa: PTH123 - descriptors
        start = time.perf_counter()
        with log_lines(writing, "json"):
            for _ in range(3000):
                logging.getLogger("lineshaft.x").warning("%s", "x" * 500)
        took = time.perf_counter() - start
        reader = threading.Thread(target=lambda: [None for _ in reading], daemon=True)
        reader.start()  # or the thread that writes would never be done
        time.sleep(0.2)
        writing.close()
        reader.join(5.0)

    assert took < 5.0
