"""The record of who was sent away: lines of JSON, only ever added to, of which a flood can add but few."""

from __future__ import annotations

import json
import logging
import re
import threading
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import unquote

from lineshaft.clock import Clock

_PORT = re.compile(r":\d+$")
_LOG = logging.getLogger(__name__)
WINDOW_US = 10_000_000
"""The same denial is written once, then counted, and its count written when this time is over."""
_FILES = 4
_MOST_COUNTED = 1000
_MOST_LETTERS = 300
_OTHERS = ("many", "many", "many", "more kinds of denials than are told apart")

Kind = tuple[str, str, str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Denial:
    """Somebody was sent away, `count` times from `at_us` on, in microseconds UTC."""

    at_us: int
    who: str
    peer: str
    what: str
    why: str
    count: int = 1


class Denials:
    """A file of one process, and the three before it: `most_bytes` in all, whoever knocks how often."""

    def __init__(self, folder: Path, *, clock: Clock, worker: int = 0, most_bytes: int = 16 << 20) -> None:
        self._files = [folder / f"denials-{worker}.{number}.jsonl" for number in range(_FILES)]  # the newest first
        self._most_bytes, self._clock = most_bytes // _FILES, clock
        self._counted: dict[Kind, int] = {}
        self._since_us = 0
        self._lock = threading.Lock()

    def note(self, *, who: str, peer: str, what: str, why: str) -> None:
        """Write one down; the ports of a peer are not told apart, and a full disk stops nobody from being sent away."""
        cut = (who, _host(peer), what, why)
        kind: Kind = (cut[0][:_MOST_LETTERS], cut[1][:_MOST_LETTERS], cut[2][:_MOST_LETTERS], cut[3][:_MOST_LETTERS])
        now_us = self._clock.now_us()
        with self._lock:
            if now_us - self._since_us >= WINDOW_US:
                self._tell_counts()
                self._since_us = now_us
            if len(self._counted) >= _MOST_COUNTED and kind not in self._counted:
                kind = _OTHERS
            if kind in self._counted:
                self._counted[kind] += 1
            else:
                self._counted[kind] = 0
                self._write([_denial(kind, now_us)])

    def close(self) -> None:
        """Write the counts that are still held."""
        with self._lock:
            self._tell_counts()

    def _tell_counts(self) -> None:
        """Write how often denials came again in the window that is over."""
        again = [_denial(kind, self._since_us, count) for kind, count in self._counted.items() if count]
        self._counted.clear()
        if again:
            self._write(again)

    def _write(self, denials: list[Denial]) -> None:
        for denial in denials:
            _LOG.warning("%s from %s was denied %s: %s", denial.who or "somebody", denial.peer, denial.what, denial.why)
        text = "".join(json.dumps(asdict(denial)) + "\n" for denial in denials)
        try:
            newest = self._files[0]
            newest.parent.mkdir(parents=True, exist_ok=True)
            if newest.exists() and newest.stat().st_size + len(text) > self._most_bytes:
                self._turn_over()
            with newest.open("a", encoding="utf-8") as file:
                file.write(text)
        except OSError as error:
            _LOG.warning("a denial could not be written down: %s", error)

    def _turn_over(self) -> None:
        """Give each file the name of the one before it; the oldest goes."""
        for older, newer in zip(reversed(self._files), reversed(self._files[:-1]), strict=False):
            if newer.exists():
                newer.replace(older)


def recorded(folder: Path, *, most: int) -> list[Denial]:
    """Return the newest denials that the processes of a home have written, oldest first."""
    files = sorted(folder.glob("denials-*.jsonl"), reverse=True)  # of one process, the oldest comes first
    return sorted((denial for file in files for denial in _lines(file)), key=lambda denial: denial.at_us)[-most:]


def _lines(file: Path) -> Iterator[Denial]:
    for line in file.read_text(encoding="utf-8").splitlines():
        try:
            yield Denial(**json.loads(line))
        except (ValueError, TypeError):  # cut off by a crash
            continue


def _denial(kind: Kind, at_us: int, count: int = 1) -> Denial:
    who, peer, what, why = kind
    return Denial(at_us=at_us, who=who, peer=peer, what=what, why=why, count=count)


def _host(peer: str) -> str:
    """Return a peer without its port.

    >>> _host("ipv4:10.1.2.3:5123"), _host("ipv6:%5B::1%5D:5123"), _host("unix:"), _host("http:::1")
    ('ipv4:10.1.2.3', 'ipv6:[::1]', 'unix:', 'http:::1')
    """
    host = unquote(peer)
    return _PORT.sub("", host) if host.startswith("ip") else host
