"""The job file: everything a job must know, as JSON, so that it imports neither registry nor wiring."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from lineshaft.errors import InputError
from lineshaft.specs import View

NEVER_US = 2**62
"""Later than any time: "no limit" as a number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Feed:
    """One raw source and the views computed from it.

    `history` is a folder read once, in any order, before anything is known to be complete; `live` is a folder that
    keeps growing; `topic` with `brokers` is Kafka. At least one is given; history may go before either other.
    """

    views: tuple[View, ...]
    history: str = ""
    live: str = ""
    brokers: str = ""
    topic: str = ""
    group: str = "lineshaft"


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFile:
    """A job: feeds, where rows go, and how time and state behave.

    `lag_us` is how far receipt times may be out of order in a live feed. Rows with known_at in (after_us, until_us] are
    emitted: a stream goes on exactly where a backfill was cut.
    """

    name: str
    feeds: tuple[Feed, ...]
    staging: str
    checkpoints: str
    redis_url: str = ""
    project: str = "dev"
    lag_us: int = 2_000_000
    after_us: int = -NEVER_US
    until_us: int = NEVER_US
    parallelism: int = 1
    checkpoint_s: float = 10.0
    restore: str = ""
    monitor_s: float = 1.0
    batch_rows: int = 4096
    bundle_ms: int = 1000
    restarts: int = 20
    restart_delay_s: float = 1.0
    jars: tuple[str, ...] = ()
    options: dict[str, str] = field(default_factory=dict)

    @property
    def bounded(self) -> bool:
        """Tell whether the job ends by itself."""
        return not any(feed.live or feed.topic for feed in self.feeds)

    def write(self, path: Path) -> Path:
        """Write it as JSON, readable by the owner only: the Redis URL may hold a password."""
        raw = asdict(self)
        for feed, plain in zip(self.feeds, raw["feeds"], strict=True):
            plain["views"] = [view.to_json() for view in feed.views]
        path.touch(mode=0o600)
        path.chmod(0o600)  # a file that was there keeps the mode it had
        path.write_text(json.dumps(raw, indent=1), encoding="utf-8")
        return path

    @staticmethod
    def read(path: Path) -> JobFile:
        """Read it back.

        Raises `InputError` where the file is missing or is no job file.
        """
        try:
            raw: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            feeds = tuple(
                Feed(**{**plain, "views": tuple(View.from_json(text) for text in plain["views"])})
                for plain in raw.pop("feeds")
            )
            return JobFile(feeds=feeds, jars=tuple(raw.pop("jars")), **raw)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"this is no job file: {error}", where=str(path), fix="let `lineshaft backfill` or `stream` write it"
            ) from error
