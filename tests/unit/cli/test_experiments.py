"""Experiments on the command line: started between who holds the slots, looked at, stopped, and kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from lineshaft.ops.account import account
from lineshaft.ops.tables import keep_tables
from lineshaft.registry.records import Candidate, Slot, Verdict
from lineshaft.settings import Settings
from lineshaft.wiring import Parts, connect

Lineshaft = Callable[..., Any]
DECLARED = """
task: binary
service: pump_health
every: 1d
label: {log: trial_log, horizon: 5d}
split: {by: asset_id, held_out: 0.3}
"""


@pytest.fixture
def parts(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, grinder: Candidate) -> Iterator[Parts]:
    """Return the parts of a home with a champion and a challenger of a declared model."""
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "seal_wear.yaml").write_text(DECLARED)
    monkeypatch.setenv("LINESHAFT_REPO", str(tmp_path))
    # The home is shared with other tests, which know nothing of this model.
    monkeypatch.setenv("LINESHAFT_DATABASE_URL", f"sqlite:///{tmp_path / 'registry.db'}")
    moment = pa.array([0]).cast(pa.timestamp("us", tz="UTC"))
    log = pa.table({"asset_id": ["pump-1"], "event_time": moment, "kind": ["failure"]})
    keep_tables({"trial_log": log}, home / "tables")
    with connect(Settings(home=home)) as opened:
        if not opened.registry.versions("seal_wear"):
            candidate = replace(grinder, model="seal_wear", task="binary", metrics={})
            for number, slot in ((1, Slot.CHAMPION), (2, Slot.CHALLENGER)):
                opened.registry.register(candidate, actor="ana")
                opened.registry.judge("seal_wear", number, Verdict(gate="b", outcome="pass", detail=""), actor="gate")
                opened.registry.promote("seal_wear", number, environment="dev", actor="ben", reason="try", slot=slot)
        yield opened


def test_an_experiment_from_start_to_stop(parts: Parts, lineshaft: Lineshaft, monkeypatch: pytest.MonkeyPatch) -> None:
    """Started once and named, seen to run with too few assets yet, stopped so, in the history under one's account."""
    monkeypatch.setenv("LOGNAME", "somebody-else")
    started = lineshaft("experiments", "start", "seal_wear", "--share", "0.25", "--reason", "two more sites", "--json")
    twice = lineshaft("experiments", "start", "seal_wear", "--reason", "again")
    (running,) = lineshaft("experiments", "status", "seal_wear", "--json").rows
    (stopped,) = lineshaft("experiments", "stop", "seal_wear", "--reason", "enough", "--json").rows
    (kept,) = lineshaft("experiments", "status", "seal_wear", "--json").rows

    assert (started.code, twice.code) == (0, 1)
    assert "runs in 'dev'" in twice.err
    assert (running["versions"], running["share"], running["verdict"]) == ("1 and 2", 0.25, "too_few_assets")
    assert running["until"] is None
    assert stopped["verdict"] == "too_few_assets"
    assert kept["until"] is not None
    assert started.rows[0]["experiment"] == running["experiment"]
    acts = [(line.action, line.actor) for line in parts.registry.history("seal_wear")]
    assert acts[-2:] == [("experiment", account()), ("conclude", account())]


@pytest.mark.usefixtures("parts")
@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("start", "seal_wear", "--metric", "f1", "--reason", "x"), "'f1'"),
        (("start", "seal_wear", "--effect", "0", "--reason", "x"), "decide nothing"),
        (("start", "seal_wear", "--share", "1", "--reason", "x"), "a share of 1 of the assets leaves an arm empty"),
        (("start", "seal_wear", "--share", "2", "--reason", "x"), "a share of 2 of the assets leaves"),
        (("start", "seal_wear", "--reason", " "), "needs a reason"),
        (("start", "nobody", "--reason", "x"), "no champion"),
        (("stop", "seal_wear", "--reason", "x"), "no experiment on 'seal_wear' runs"),
    ],
)
def test_what_would_decide_nothing_is_refused(lineshaft: Lineshaft, words: tuple[str, ...], text: str) -> None:
    """In words, and nothing begins."""
    said = lineshaft("experiments", *words)

    assert said.code == 1
    assert text in said.err
