"""Write what was answered without holding up an answer: a bounded queue and one thread that empties it."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from lineshaft.errors import LineshaftError, UnavailableError

T = TypeVar("T")
logger = logging.getLogger(__name__)

_REST_S = 0.005


def in_turns(items: Sequence[T], most: int = 16) -> Iterator[list[T]]:
    """Yield items a few at a time, and rest between: who answers waits for a millisecond of Python, not for a batch.

    >>> [len(few) for few in in_turns(range(70))]
    [16, 16, 16, 16, 6]
    """
    for start in range(0, len(items), most):
        if start:
            time.sleep(_REST_S)
        yield list(items[start : start + most])


@dataclass(slots=True, kw_only=True)
class WriteBehind(Generic[T]):
    """Hold items and let a thread write them: when `batch_rows` are held, or the oldest is `every_s` old.

    `put` never waits and never raises. What cannot be written stays held and is tried again, the same items together,
    so that a writer can tell a repetition; more than `most_rows` or `most_bytes` are never held: the oldest that wait
    go, and are counted in `lost`. A process that dies loses what it held, `every_s` at most.
    """

    name: str
    write: Callable[[list[T]], object]
    rows_of: Callable[[T], int]
    bytes_of: Callable[[T], int]  # about what it takes in memory
    batch_rows: int = 10_000
    every_s: float = 5.0
    most_rows: int = 100_000
    most_bytes: int = 64 << 20
    written: int = 0
    lost: int = 0
    _queue: deque[T] = field(default_factory=deque)
    _waiting: int = 0  # rows in the queue
    _waiting_bytes: int = 0
    _batch: list[T] = field(default_factory=list)  # what is being written, or could not be
    _batch_size: int = 0  # rows in the batch
    _batch_bytes: int = 0
    _fault: LineshaftError | OSError | None = None
    _hurry: bool = False
    _ended: bool = False
    _thread: threading.Thread | None = None
    _changed: threading.Condition = field(default_factory=threading.Condition)

    @property
    def held(self) -> int:
        """Return how many rows are not written yet."""
        return self._waiting + self._batch_size

    def put(self, item: T) -> None:
        """Hold an item until it is written; let the oldest go where too much is held."""
        rows = self.rows_of(item)
        with self._changed:
            if self._ended:
                self.lost += rows
                return
            first = not self._queue
            self._queue.append(item)
            self._waiting, self._waiting_bytes = self._waiting + rows, self._waiting_bytes + self.bytes_of(item)
            while self._queue and self._is_too_much():
                oldest = self._queue.popleft()
                gone = self.rows_of(oldest)
                self._waiting, self._waiting_bytes = self._waiting - gone, self._waiting_bytes - self.bytes_of(oldest)
                self.lost += gone
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name=f"{self.name} log", daemon=True)
                self._thread.start()
            elif first or self._is_full():
                self._changed.notify_all()

    def _is_too_much(self) -> bool:
        return self.held > self.most_rows or self._waiting_bytes + self._batch_bytes > self.most_bytes

    def _is_full(self) -> bool:
        return self._waiting >= self.batch_rows or self._waiting_bytes >= self.most_bytes // 4

    def flush(self) -> None:
        """Write what is held now; raise `UnavailableError` where it cannot be written: it stays held."""
        with self._changed:
            if self._thread is None or self._ended:
                return
            self._hurry, self._fault = True, None
            self._changed.notify_all()
            self._changed.wait_for(lambda: not self._hurry)
            if self._fault is not None:
                raise self._unwritten(self._fault) from self._fault

    def close(self) -> None:
        """Write what is held, take no more, and end the thread; what cannot be written is lost, and said to be."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join()
        with self._changed:
            gone, self._waiting, self._batch_size = self.held, 0, 0
            self._waiting_bytes = self._batch_bytes = 0
            self._queue.clear()
            self._batch.clear()
            self.lost += gone
        if gone:
            logger.error("%d rows of the %s log were not written and are lost", gone, self.name)

    def _run(self) -> None:
        """Wait for enough, or for long enough, and write; until told to end and tried once more."""
        while True:
            with self._changed:
                self._await_work()
                ending, hurry = self._ended, self._hurry
                if not self._batch:
                    self._batch, self._batch_size = list(self._queue), self._waiting
                    self._batch_bytes = self._waiting_bytes
                    self._queue.clear()
                    self._waiting = self._waiting_bytes = 0
            done = not self._batch or self._written()
            with self._changed:
                if hurry and (not done or not self._queue):
                    self._hurry = False
                    self._changed.notify_all()
                if ending and (not done or not self._queue):
                    return

    def _await_work(self) -> None:
        """Wait until something is due: a batch is full, the first of the queue has waited enough, or somebody asks."""
        if self._fault is None:
            self._changed.wait_for(lambda: self._queue or self._batch or self._hurry or self._ended)
        end = time.monotonic() + self.every_s
        while not (self._hurry or self._ended):
            left = end - time.monotonic()
            if (self._fault is None and self._is_full()) or left <= 0:
                return
            self._changed.wait(left)

    def _written(self) -> bool:
        """Write the batch; tell whether it is written."""
        try:
            self.write(self._batch)
        except (LineshaftError, OSError) as error:
            with self._changed:
                self._fault = error
            logger.warning("%s", self._unwritten(error).what)
            return False
        except Exception:  # a fault nobody thought of costs these rows, not all that come after them
            logger.exception("%d rows of the %s log cannot be written and are lost", self._batch_size, self.name)
            self.lost += self._batch_size
        else:
            self.written += self._batch_size
        with self._changed:
            self._batch, self._fault = [], None
            self._batch_size = self._batch_bytes = 0
        return True

    def _unwritten(self, error: Exception) -> UnavailableError:
        why = error.what if isinstance(error, LineshaftError) else str(error)
        what = f"{self.held} rows of the {self.name} log cannot be written, {self.lost} are lost: {why}"
        return UnavailableError(what, fix="make room, or let the server write elsewhere")
