"""A value that is kept up to date by a thread of its own, so that nobody who uses it ever waits for it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from lineshaft.errors import LineshaftError, UnavailableError

T = TypeVar("T")
_LOG = logging.getLogger(__name__)
_RETRY_S = 5.0


class Kept(Generic[T]):
    """What `load` returned last. While loading fails that stays, for `trusted_s` and no longer.

    >>> with Kept(lambda: 7, what="numbers", every_s=1.0) as kept: kept.get()
    7
    """

    def __init__(
        self, load: Callable[[], T], *, what: str, every_s: float, trusted_s: float = 3600.0, patient: bool = False
    ) -> None:
        """Load once, and from then on every `every_s`; if the first time fails, raise, unless `patient`."""
        self._load, self._what, self._every_s, self._trusted_s = load, what, every_s, trusted_s
        self._value: T | None = None
        self._until_s = 0.0
        self._wake, self._closed = threading.Event(), False
        try:
            self._refresh()
        except LineshaftError as error:
            if not patient:
                raise
            _LOG.warning("no %s yet: %s", what, error.what)
        self._thread = threading.Thread(target=self._run, name=f"keeps {what}", daemon=True)
        self._thread.start()

    def get(self) -> T:
        """Return the value; raises `UnavailableError` where none was loaded for too long."""
        value = self._value
        if value is None or time.monotonic() > self._until_s:
            what = f"the {self._what} could not be read for too long"
            raise UnavailableError(
                what, fix="check that their source can be reached; they are read again by themselves"
            )
        return value

    def hurry(self) -> None:
        """Ask for the next load now."""
        self._wake.set()

    def close(self) -> None:
        """End the thread."""
        self._closed = True
        self._wake.set()
        self._thread.join()

    def __enter__(self) -> Kept[T]:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _refresh(self) -> None:
        self._value = self._load()
        self._until_s = time.monotonic() + self._trusted_s

    def _run(self) -> None:
        wait_s = self._every_s if self._value is not None else min(self._every_s, _RETRY_S)
        while True:
            self._wake.wait(wait_s)
            if self._closed:
                return
            self._wake.clear()
            wait_s = self._every_s
            try:
                self._refresh()
            except Exception as error:  # noqa: BLE001 - a thread that dies would keep what was revoked alive
                _LOG.warning("the %s stay as they are: %s", self._what, error)
                wait_s = min(self._every_s, _RETRY_S)
