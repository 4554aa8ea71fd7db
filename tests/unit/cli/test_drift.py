"""Drift on the command line: checked against a sketch, told with its trail, and refused in words."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lineshaft.drift.baseline import baseline_of
from lineshaft.drift.policy import Regimes
from lineshaft.drift.rows import rows_of
from lineshaft.drift.sketch import Sketch
from lineshaft.ops.drift_sources import DriftSources
from lineshaft.registry.drifts import Trigger, drift_book
from lineshaft.registry.records import Candidate, Verdict, ViewPin
from lineshaft.settings import Settings
from lineshaft.specs import View
from lineshaft.wiring import Parts, connect

Lineshaft = Callable[..., Any]
MINUTE_US = 60_000_000
COLUMNS = ("pumps__rms_1m", "pumps__kurtosis_1m")
AT = "2024-01-01T00:10:00"


@pytest.fixture
def parts(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, grinder: Candidate, pumps: View
) -> Iterator[Parts]:
    """Return the parts of a home with a champion, and the sketch of what it is said to have been trained on."""
    # The home is shared with other tests, which know nothing of this model: it goes into a copy of their database.
    shared, own = (sqlite3.connect(path) for path in (sqlite_file(Settings(home=home)), tmp_path / "registry.db"))
    shared.backup(own)
    for one in (shared, own):
        one.close()
    monkeypatch.setenv("LINESHAFT_DATABASE_URL", f"sqlite:///{tmp_path / 'registry.db'}")
    with connect(Settings(home=home)) as opened:
        registry = opened.registry
        if not registry.versions("drifting"):
            pins = (ViewPin(view="pumps", version=pumps.version),)
            registry.register(replace(grinder, model="drifting", features=COLUMNS, pins=pins), actor="ana")
            registry.judge("drifting", 1, Verdict(gate="b", outcome="pass", detail=""), actor="gate")
            registry.promote("drifting", 1, environment="dev", actor="ben", reason="try")
            version = registry.get("drifting", 1)
            empty = Sketch(
                columns=COLUMNS,
                keys=("asset_id", "position"),
                step_us=MINUTE_US,
                until_us=0,
                regimes=Regimes(),
                baselines=(None,),
            )
            sources = DriftSources(
                catalog=opened.catalog, offline=opened.offline, predictions=tmp_path, tables=opened.tables
            )
            table = sources.stored(version, empty, since_us=0, until_us=2**60)
            rows = rows_of(table, COLUMNS, step_us=MINUTE_US, regimes=Regimes(), keys=empty.keys)
            made = replace(empty, baselines=(baseline_of(rows, window=2),))
            drift_book(registry, "dev").keep_sketch("drifting", 1, made)
        yield opened


def sqlite_file(settings: Settings) -> str:
    """Return where the database of a home lies."""
    return settings.database().removeprefix("sqlite:///")


@pytest.mark.usefixtures("parts")
def test_a_check_of_what_would_be_asked(lineshaft: Lineshaft) -> None:
    """Nobody asked the model yet: the rows of the offline store are compared; so few say nothing."""
    said = lineshaft("drift", "check", "drifting", "--at", AT, "--json")

    assert said.code == 0, said.err
    (row,) = said.rows
    assert (row["model"], row["outcome"], row["alarms"], row["assets"]) == ("drifting@1", "unknown", "", 2)
    assert row["rows"] > 0


def test_a_trail_is_told_line_by_line(parts: Parts, lineshaft: Lineshaft) -> None:
    """What a trigger is of, and each thing that was done about it."""
    book = drift_book(parts.registry, "dev")
    told = {"model": "drifting", "number": 1, "cause": "sensor", "assets": ("pump-1",), "columns": COLUMNS[:1]}
    book.open_trigger(Trigger(id="t1", detail="dead", state="ticket", raised_us=5, **told), detail="mend it")  # type: ignore[arg-type]
    book.move("t1", "over", "no check finds it any more", closed=True)

    rows = lineshaft("drift", "triggers", "drifting", "--json").rows

    assert [(row["cause"], row["assets"], row["state"], row["detail"]) for row in rows] == [
        ("sensor", "pump-1", "ticket", "mend it"),
        ("sensor", "pump-1", "over", "no check finds it any more"),
    ]
    assert lineshaft("drift", "triggers", "drifting", "--standing", "--json").rows == []


@pytest.mark.usefixtures("parts")
@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("check", "nobody"), "'nobody' has no champion"),
        (("check", "--every", "often"), "write it like 1h"),
        (("calibrate", "drifting", "--every", "often"), "write it like 1h"),
        (("report", "drifting", "--at", AT), "the rows drifting@1 was trained on are not kept"),
        (("calibrate", "drifting", "--from", "2030-01-01", "--until", "2031-01-01"), "no rows of 'drifting' lie"),
        (("calibrate", "drifting", "--baseline", "1"), "leaves nothing to check"),
    ],
)
def test_what_cannot_be_compared_is_refused_in_words(lineshaft: Lineshaft, words: tuple[str, ...], text: str) -> None:
    """No champion, no rows, no baseline: said, with what to do."""
    said = lineshaft("drift", *words)

    assert said.code == 1
    assert text in said.err
