"""Drift on the command line: checked against a sketch, told with its trail, and refused in words."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from lineshaft.drift.baseline import baseline_of
from lineshaft.drift.policy import Regimes
from lineshaft.drift.rows import rows_of
from lineshaft.drift.sketch import Sketch
from lineshaft.ops.drift_sources import DriftSources
from lineshaft.registry.drifts import Trigger, drift_book
from lineshaft.registry.records import Candidate, Verdict, ViewPin
from lineshaft.settings import Settings
from lineshaft.specs import View, row_schema
from lineshaft.wiring import Parts, connect

Lineshaft = Callable[..., Any]
MINUTE_US = 60_000_000
COLUMNS = ("pumps__rms_1m", "pumps__kurtosis_1m")
AT = "2024-01-01T00:10:00"
BEGIN, HOURS = 28_402_560, 5
"""The minute from which on there are rows of five hours: 2 January 2024."""
EMPTY = Sketch(
    columns=COLUMNS,
    keys=("asset_id", "position"),
    step_us=MINUTE_US,
    until_us=0,
    regimes=Regimes(),
    baselines=(None,),
)


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
        champion(opened, grinder, pumps)
        sources = DriftSources(
            catalog=opened.catalog, offline=opened.offline, predictions=tmp_path, tables=opened.tables
        )
        table = sources.stored(opened.registry.get("drifting", 1), EMPTY, since_us=0, until_us=2**60)
        rows = rows_of(table, COLUMNS, step_us=MINUTE_US, regimes=Regimes(), keys=EMPTY.keys)
        made = replace(EMPTY, baselines=(baseline_of(rows, window=2),))
        drift_book(opened.registry, "dev").keep_sketch("drifting", 1, made)
        yield opened


def champion(parts: Parts, grinder: Candidate, pumps: View, *, name: str = "drifting") -> None:
    """Make a model the champion of its name."""
    pins = (ViewPin(view="pumps", version=pumps.version),)
    parts.registry.register(replace(grinder, model=name, features=COLUMNS, pins=pins), actor="ana")
    parts.registry.judge(name, 1, Verdict(gate="b", outcome="pass", detail=""), actor="gate")
    parts.registry.promote(name, 1, environment="dev", actor="ben", reason="try")


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
        (("check", "--every", "often"), "'often' is not a duration"),
        (("check", "--every", "1h", "--at", AT), "a schedule has no one moment"),
        (("calibrate", "drifting", "--every", "often"), "write it like 1h"),
        (("report", "drifting", "--at", AT), "the rows drifting@1 was trained on are not kept"),
        (("calibrate", "drifting", "--from", "2030-01-01", "--until", "2031-01-01"), "no rows of 'drifting' lie"),
        (("calibrate", "drifting", "--baseline", "1"), "leave nothing to check"),
    ],
)
def test_what_cannot_be_compared_is_refused_in_words(lineshaft: Lineshaft, words: tuple[str, ...], text: str) -> None:
    """No champion, no rows, no baseline: said, with what to do."""
    said = lineshaft("drift", *words)

    assert said.code == 1
    assert text in said.err


@pytest.fixture
def watched(own_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, grinder: Candidate, pumps: View) -> Path:
    """Return a home with five hours of two pumps, a champion of the first, and a policy of ten minutes."""
    policies = tmp_path / "governance" / "policies"
    policies.mkdir(parents=True)
    (policies / "drift.yaml").write_text("window: 10m\npersist: 1/1\n")
    monkeypatch.setenv("LINESHAFT_POLICIES", str(tmp_path / "governance"))
    dice = np.random.default_rng(4)
    minutes = np.tile(np.arange(BEGIN, BEGIN + HOURS * 60), 2)
    columns: dict[str, Any] = {
        "asset_id": np.repeat(["pump-1", "pump-2"], HOURS * 60),
        "position": ["de"] * len(minutes),
        "event_time": pa.array(minutes * MINUTE_US).cast(pa.timestamp("us", tz="UTC")),
        "known_at": pa.array(minutes * MINUTE_US).cast(pa.timestamp("us", tz="UTC")),
        "rms_1m": dice.normal(size=len(minutes)) + 9.0 * (minutes >= BEGIN + HOURS * 60 - 10),
        "kurtosis_1m": dice.normal(size=len(minutes)),
    }
    schema = row_schema(pumps)
    with connect(Settings(home=own_home)) as opened:
        opened.offline.write_rows(
            pumps, pa.table({name: columns[name] for name in schema.names}).cast(schema), batch="more"
        )
        champion(opened, grinder, pumps)
        pins = DriftSources(catalog=opened.catalog, offline=opened.offline, predictions=tmp_path, tables=opened.tables)
        since, until = BEGIN * MINUTE_US, (BEGIN + 60 * (HOURS - 1)) * MINUTE_US
        table = pins.stored(opened.registry.get("drifting", 1), EMPTY, since_us=since, until_us=until)
        rows = rows_of(table, COLUMNS, step_us=MINUTE_US, regimes=Regimes(), keys=EMPTY.keys)
        made = replace(EMPTY, baselines=(baseline_of(rows, window=10),))
        drift_book(opened.registry, "dev").keep_sketch("drifting", 1, made)
    return own_home


def test_an_alarm_has_an_exit_code_a_ticket_and_an_owner_who_is_told(
    watched: Path, lineshaft: Lineshaft, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Both pumps moved by nine deviations in the last ten minutes: 3, a ticket, a message; before that 0."""
    monkeypatch.setenv("LINESHAFT_ALERT_ROUTES", "log")
    calm, now = (iso(BEGIN + 60 * HOURS - before) for before in (60, 0))

    quiet = lineshaft("drift", "check", "--at", calm, "--json", at=watched)
    loud = lineshaft("drift", "check", "drifting", "--at", now, "--json", at=watched)

    assert (quiet.code, quiet.rows[0]["outcome"], quiet.rows[0]["rows"]) == (0, "none", 20)
    assert (loud.code, loud.rows[0]["outcome"]) == (3, "drift")
    assert "pumps__rms_1m" in loud.rows[0]["furthest"]
    rows = lineshaft("drift", "triggers", "--standing", "--json", at=watched).rows
    assert {row["state"] for row in rows} == {"ticket"}
    assert "pumps__rms_1m" in rows[0]["columns"]
    assert "the drift of drifting" in caplog.text


def test_one_model_that_cannot_be_checked_stops_no_other(
    watched: Path, lineshaft: Lineshaft, grinder: Candidate, pumps: View
) -> None:
    """A champion without a sketch is unknown and says what to do; the others are checked."""
    with connect(Settings(home=watched)) as opened:
        champion(opened, grinder, pumps, name="another")

    said = lineshaft("drift", "check", "--at", iso(BEGIN + 60 * (HOURS - 1)), "--json", at=watched)

    told = {row["model"]: row for row in said.rows}
    assert said.code == 0
    assert told["another"]["outcome"] == "unknown"
    assert "train" in told["another"]["furthest"]
    assert told["drifting@1"]["outcome"] == "none"


def test_calibrating_says_what_would_have_been_raised_and_what_can_be_told(watched: Path, lineshaft: Lineshaft) -> None:
    """Baseline, a part that least effects are chosen on, one held out, what a window tells; no alarm in either."""
    words = (
        "drift",
        "calibrate",
        "drifting",
        "--from",
        iso(BEGIN),
        "--until",
        iso(BEGIN + 60 * (HOURS - 1)),
        "--every",
        "5m",
    )

    (found,) = lineshaft(*words, "--json", at=watched).rows
    shown = lineshaft(*words, at=watched)

    chosen, before, after = found["replays"]
    assert [one["false_alarms"] for one in (chosen, before, after)] == [0, 0, 0]
    assert min(one["checks"] for one in (chosen, before, after)) >= 9
    assert before["surely_less_than"] == pytest.approx(3.0 / before["asset_months"], rel=0.01)
    assert [one["column"] for one in found["tells"]] == list(COLUMNS)
    assert all(0.3 < one["shift"] < 5 and one["spread"] > 1 for one in found["tells"])
    assert found["least"] == {}
    assert "held out, policy as it is" in shown.out


def iso(minute: int) -> str:
    """Return a moment as commands take it."""
    return datetime.fromtimestamp(minute * 60, UTC).replace(tzinfo=None).isoformat()
