"""Writing behind an answer: never waited for, never unbounded, nothing written twice or told wrong."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lineshaft.errors import UnavailableError
from lineshaft.serving.write_behind import WriteBehind

LONG_S = 60.0


@dataclass
class Disk:
    """A place to write to that can be away, or slow."""

    batches: list[list[int]] = field(default_factory=list)
    tried: list[list[int]] = field(default_factory=list)
    fault: Exception | None = None
    gate: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.gate.set()

    def write(self, items: list[int]) -> None:
        """Keep the items, or fail."""
        assert self.gate.wait(10.0)
        self.tried.append(list(items))
        if self.fault is not None:
            raise self.fault
        self.batches.append(list(items))

    @property
    def items(self) -> list[int]:
        """Return everything written, in order."""
        return [item for batch in self.batches for item in batch]


Opened = Callable[..., WriteBehind[int]]


@pytest.fixture
def opened(disk: Disk) -> Iterator[Opened]:
    """Return a way to open logs that are closed at the end; an item n counts as n rows."""
    logs: list[WriteBehind[int]] = []

    def make(**limits: float) -> WriteBehind[int]:
        given: dict[str, Any] = {"every_s": LONG_S, **limits}
        logs.append(
            WriteBehind(
                name="test",
                write=disk.write,
                rows_of=lambda item: item,
                bytes_of=lambda item: 100 * item,
                **given,
            )
        )
        return logs[-1]

    yield make
    disk.fault = None
    disk.gate.set()
    for log in logs:
        log.close()


@pytest.fixture
def disk() -> Disk:
    """Return an empty disk."""
    return Disk()


def until(done: Callable[[], bool]) -> bool:
    """Tell whether something becomes true within seconds."""
    end = time.monotonic() + 5.0
    while not done() and time.monotonic() < end:
        time.sleep(0.005)
    return done()


def test_a_batch_is_written_as_soon_as_it_is_full(opened: Opened, disk: Disk) -> None:
    """Rows are counted, not items; what is not enough waits."""
    log = opened(batch_rows=3)
    log.put(1)
    time.sleep(0.05)
    assert (disk.items, log.held) == ([], 1)

    log.put(2)

    assert until(lambda: disk.items == [1, 2])
    assert (log.written, log.held, log.lost) == (3, 0, 0)


def test_the_oldest_waits_no_longer_than_the_interval(opened: Opened, disk: Disk) -> None:
    """A single row is written when the interval is over, and the next one after the next."""
    log = opened(every_s=0.05)
    for item in (1, 2):
        log.put(item)
        assert until(lambda item=item: disk.items[-1:] == [item])  # type: ignore[misc]

    assert disk.batches == [[1], [2]]


def test_putting_never_waits_for_the_disk(opened: Opened, disk: Disk) -> None:
    """While a write hangs, ten thousand puts take no longer than ten thousand puts."""
    log = opened(batch_rows=1)
    disk.gate.clear()
    log.put(1)
    start = time.monotonic()
    for _ in range(10_000):
        log.put(1)

    assert time.monotonic() - start < 1.0
    disk.gate.set()
    log.flush()
    assert log.written == 10_001


def test_what_is_held_is_bounded_and_what_goes_is_counted(opened: Opened, disk: Disk) -> None:
    """While nothing can be written the oldest that wait go; what is being tried stays, the newest are kept."""
    log = opened(batch_rows=1, most_rows=3)
    disk.gate.clear()
    log.put(1)
    assert until(lambda: log.held == 1 and not log._queue)  # noqa: SLF001 - taken up, hanging in the write

    for _ in range(6):
        log.put(1)

    assert (log.held, log.lost) == (3, 4)
    disk.gate.set()
    log.flush()
    assert (log.written, log.lost) == (3, 4)


def test_memory_is_bounded_as_well_as_rows(opened: Opened, disk: Disk) -> None:
    """Wide rows fill a batch sooner, a quarter of the memory at most; and the oldest go when the memory is full."""
    log = opened(most_bytes=1000)
    log.put(3)
    assert until(lambda: disk.items == [3])
    disk.gate.clear()
    log.put(3)
    assert until(lambda: not log._queue)  # noqa: SLF001 - taken up, hanging in the write

    for item in (4, 2, 5):
        log.put(item)

    assert (log.held, log.lost) == (10, 4)
    disk.gate.set()
    log.flush()
    assert disk.items == [3, 3, 2, 5]


def test_what_failed_is_tried_again_as_it_was(opened: Opened, disk: Disk) -> None:
    """The same items come together again, so that a writer can tell a repetition; newer ones come after them."""
    log = opened()
    disk.fault = OSError("no space left")
    log.put(1)
    log.put(2)
    with pytest.raises(UnavailableError, match="3 rows of the test log cannot be written, 0 are lost: no space left"):
        log.flush()
    log.put(3)

    disk.fault = None
    log.flush()

    assert disk.tried == [[1, 2], [1, 2], [3]]
    assert disk.batches == [[1, 2], [3]]


def test_a_failing_disk_is_tried_again_by_itself(opened: Opened, disk: Disk) -> None:
    """Once an interval, without anybody asking, however much is held meanwhile; and said in the log each time."""
    log = opened(every_s=0.05, batch_rows=1)
    disk.fault = UnavailableError("the object store is away")
    log.put(1)
    assert until(lambda: len(disk.tried) >= 2)
    tried = len(disk.tried)
    for _ in range(1000):
        log.put(1)
    assert len(disk.tried) <= tried + 2

    disk.fault = None

    assert until(lambda: log.written == 1001)


def test_a_fault_nobody_thought_of_costs_one_batch(opened: Opened, disk: Disk) -> None:
    """It is counted as lost, and what comes after is written: the thread does not die."""
    log = opened()
    disk.fault = ZeroDivisionError("a fault of ours")
    log.put(2)
    log.flush()
    disk.fault = None
    log.put(1)
    log.flush()

    assert (disk.items, log.lost, log.written) == ([1], 2, 1)


def test_closing_writes_what_is_held_and_takes_no_more(opened: Opened, disk: Disk) -> None:
    """At once, not at the end of the interval; what comes later is counted as lost, and closing again is harmless."""
    log = opened()
    log.put(1)

    log.close()
    log.put(5)
    log.flush()
    log.close()

    assert (disk.items, log.written, log.lost) == ([1], 1, 5)


def test_closing_does_not_wait_for_a_disk_that_is_away(
    opened: Opened, disk: Disk, caplog: pytest.LogCaptureFixture
) -> None:
    """It is tried once more; then what is held is lost, counted, and said."""
    log = opened()
    disk.fault = OSError("gone")
    log.put(1)
    log.put(2)

    log.close()

    assert (log.held, log.lost) == (0, 3)
    assert "3 rows of the test log were not written and are lost" in caplog.text


def test_a_log_nobody_wrote_to_has_no_thread(opened: Opened) -> None:
    """Opening, flushing and closing an unused log starts nothing."""
    before = threading.active_count()
    log = opened()
    log.flush()
    log.close()

    assert threading.active_count() == before


@settings(max_examples=50, deadline=None)
@given(
    items=st.lists(st.integers(1, 4), max_size=30),
    batch_rows=st.integers(1, 8),
    flushes=st.sets(st.integers(0, 30), max_size=4),
)
def test_everything_is_written_once_in_order(items: list[int], batch_rows: int, flushes: set[int]) -> None:
    """Whatever the sizes and whenever flushed: each item once, in the order put, and the counts add up."""
    disk = Disk()
    log = WriteBehind[int](
        name="test",
        write=disk.write,
        rows_of=lambda item: item,
        bytes_of=lambda item: item,
        every_s=LONG_S,
        batch_rows=batch_rows,
    )
    for place, item in enumerate(items):
        log.put(item)
        if place in flushes:
            log.flush()
            assert disk.items == items[: place + 1]
    log.close()

    assert disk.items == items
    assert (log.written, log.lost, log.held) == (sum(items), 0, 0)
