"""A line for each call that was refused, failed or was slow: who looks for one finds it by its id."""

from __future__ import annotations

import json
import logging
import queue
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from logging.handlers import QueueHandler
from typing import IO, Any, Literal

from lineshaft.serving.calls import Call

Format = Literal["text", "json"]

_LOG = logging.getLogger(__name__)
_MOST_A_SECOND = 100
_MOST_WAITING = 1000
_END_S = 1.0
_CALLERS_OWN = {
    "OK",
    "ABORTED",
    "CANCELLED",
    "INVALID_ARGUMENT",
    "NOT_FOUND",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "UNAUTHENTICATED",
}


class CallLog:
    """Be told of calls, and log those that were not answered, or took `slow_s` or longer (0: however long).

    A second has `most` lines: a flood of refusals must not become one of lines. What was left out is counted in the
    next line. clock: seconds that only go forward.
    """

    def __init__(
        self, *, slow_s: float = 0.1, most: int = _MOST_A_SECOND, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._slow_s = slow_s
        self._most = most
        self._clock = clock
        self._second = self._lines = self._left_out = 0

    def __call__(self, call: Call, code: str, seconds: float) -> None:
        """Log a call that ended, if it is to be logged."""
        slow = self._slow_s > 0 and seconds >= self._slow_s and not call.lasting
        if (code == "OK" and not slow) or not self._has_room():
            return
        fields: dict[str, Any] = {
            "request_id": call.id,
            "method": call.method.rpartition("/")[2],
            "code": code,
            "error": call.error,
            "feature_service": call.feature_service,
            "ms": round(seconds * 1e3, 3),
            "degraded": call.degraded,
        }
        if self._left_out:
            fields["left_out"], self._left_out = self._left_out, 0
        level = logging.WARNING if slow or code not in _CALLERS_OWN else logging.INFO
        _LOG.log(level, "slow call" if code == "OK" else "call not answered", extra={"fields": fields})

    def _has_room(self) -> bool:
        second = int(self._clock())
        if second != self._second:
            self._second, self._lines = second, 0
        self._lines += 1
        if self._lines > self._most:
            self._left_out += 1
        return self._lines <= self._most


class JsonLines(logging.Formatter):
    """Every record of a log as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


class TextLines(logging.Formatter):
    """Every record of a log as a line for people; fields stand behind it as name=value."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - named by logging
        """Return the line without its traceback."""
        fields: dict[str, Any] = getattr(record, "fields", {})
        shown = (f"{name}={json.dumps(value)}" for name, value in fields.items() if value not in ("", False))
        return " ".join([super().formatMessage(record), *shown])


class _Waiting(QueueHandler):
    """Hand lines over to a thread; let them go where it does not keep up."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - named by logging
        """Let the line go: a terminal that hangs must not hold up answers."""


@contextmanager
def log_lines(to: IO[str], style: Format) -> Iterator[None]:
    """Write what the process logs as lines, from a thread of their own; ours from INFO on, others' from WARNING."""
    waiting: queue.Queue[Any] = queue.Queue(_MOST_WAITING)
    handler, ours, root = _Waiting(waiting), logging.getLogger("lineshaft"), logging.getLogger()
    handler.setFormatter(JsonLines() if style == "json" else TextLines())
    out, before = logging.StreamHandler(to), ours.level

    def write() -> None:
        while (record := waiting.get()) is not None:
            out.handle(record)

    writer = threading.Thread(target=write, name="log", daemon=True)
    ours.setLevel(logging.INFO)
    root.addHandler(handler)
    writer.start()
    try:
        yield
    finally:
        root.removeHandler(handler)
        ours.setLevel(before)
        with suppress(queue.Full):  # nor may it hold up the end
            waiting.put(None, timeout=_END_S)
        writer.join(_END_S)
