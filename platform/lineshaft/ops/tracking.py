"""Runs: what is tried or trained is written down as it goes, and whoever looks later finds how it ended.

`lineshaft.run` is for notebooks and scripts; `lineshaft train` writes itself down by the same means.
"""

from __future__ import annotations

import pickletools
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from lineshaft.clock import SystemClock
from lineshaft.errors import InputError, LineshaftError
from lineshaft.ops.account import account, gone, place
from lineshaft.registry.artifacts import ArtifactStore
from lineshaft.registry.current import brought_up
from lineshaft.registry.runs import RunBook, RunState, Wanted
from lineshaft.settings import Settings

_BEAT_S = 10.0


def _is_pickle(content: bytes) -> bool:
    """Tell whether all of it reads as a pickle of any protocol; nothing of it is carried out."""
    try:
        ((_, _, end),) = deque(pickletools.genops(content), maxlen=1)
    except Exception:  # noqa: BLE001 - whatever its reader stumbles over, it is no pickle
        return False
    return end == len(content.rstrip()) - 1


def _no_pickle(content: bytes, _: str) -> None:
    if content[:1] == b"\x80" or _is_pickle(content):
        what = "a pickle can run code when it is read, and is not kept"
        raise InputError(what, fix="write the figures as CSV, JSON or Parquet, the model by `release`")


FILES: Mapping[str, Callable[[bytes, str], None]] = {"file": _no_pickle}
"""What is kept beside a run: bytes that nobody here reads."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tracked:
    """A run as it goes."""

    id: int
    book: RunBook
    files: ArtifactStore

    def params(self, **values: object) -> None:
        """Keep what it was done with: numbers, words, lists of them."""
        self.book.log(self.id, params=values)

    def metrics(self, **values: float) -> None:
        """Keep what came of it."""
        self.book.log(self.id, metrics=values)

    def point(self, step: int, **values: float) -> None:
        """Keep a point of each curve named; the last one said is the figure of that name."""
        for name, value in values.items():
            self.book.draw(self.id, name, {step: value})

    def curve(self, name: str, values: Sequence[float]) -> None:
        """Keep a whole curve, from step 0 on."""
        self.book.draw(self.id, name, dict(enumerate(values)))

    def end(self, state: RunState, *, detail: str = "", number: int | None = None) -> None:
        """Say how it ended, and which version came of it, before its block is over."""
        self.book.end(self.id, state, detail=detail, number=number)

    def file(self, name: str, content: Path | bytes | str) -> str:
        """Keep a file, or text, under a name; return its SHA-256.

        Raises
        ------
        InputError
            If it is a pickle, or its name leads somewhere.
        """
        if not name or name.startswith(".") or set(name) & set("/\\") or not name.isprintable():
            raise InputError(f"{name!r} names no file", fix="use letters, digits, dots, _ and -")
        plain = content.read_bytes() if isinstance(content, Path) else content
        digest = self.files.put(plain.encode() if isinstance(plain, str) else plain, artifact_format="file")
        self.book.log(self.id, files={name: digest})
        return digest


def run_files(home: Path) -> ArtifactStore:
    """Return the store of files that lie beside runs."""
    return ArtifactStore(home / "runs", formats=FILES)


@contextmanager
def run(name: str, *, model: str = "", settings: Settings | None = None, **params: object) -> Iterator[Tracked]:
    """Write down what is tried: parameters, figures, curves, files, and whether it ended well.

    An error ends it as failed, with what it said, and goes on its way.
    """
    settings = settings or Settings()
    settings.home.mkdir(parents=True, exist_ok=True)
    brought_up(settings.database())
    book = RunBook(settings.database(), project=settings.project, clock=SystemClock())
    try:
        with under_way(book, Wanted(name=name, model=model), files=run_files(settings.home)) as tracked:
            tracked.params(**params)
            yield tracked
    finally:
        book.close()


@contextmanager
def under_way(book: RunBook, wanted: Wanted, *, files: ArtifactStore) -> Iterator[Tracked]:
    """Begin a run, say from time to time that it is alive, and say how it ended, unless its doer has said so."""
    where = replace(wanted, actor=account(), place=place())
    tracked = Tracked(id=book.begin(where, gone=gone), book=book, files=files)
    over = threading.Event()

    def beat() -> None:
        while not over.wait(_BEAT_S):
            with suppress(LineshaftError):  # a database that is away now may be there in ten seconds
                book.seen(tracked.id)

    teller = threading.Thread(target=beat, name="run-heartbeat", daemon=True)
    teller.start()
    try:
        yield tracked
    except BaseException as error:
        told = error.what if isinstance(error, LineshaftError) else f"{type(error).__name__}: {error}".rstrip(": ")
        with suppress(LineshaftError):
            book.end(tracked.id, RunState.FAILED, detail=told)
        raise
    else:
        if book.get(tracked.id).state is RunState.RUNNING:
            book.end(tracked.id, RunState.DONE)
    finally:
        over.set()
        teller.join()
