"""Outcomes on the command line: as of now they are kept and what changed is told, as of then they are looked at."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lineshaft.ops.tables import keep_tables
from lineshaft.sources.simulator.interventions import Crew, Plant, act_on

Lineshaft = Callable[..., Any]
DECLARED = """
task: binary
service: pump_health
every: 1d
label: {log: outcome_log, horizon: 5d}
split: {by: asset_id, held_out: 0.3}
"""


@pytest.fixture
def judged(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a home in which a model was asked for half a year, and a crew acted on its alerts."""
    plant = Plant(assets=40, days=180)
    predictions, history = plant.run()
    high = predictions.filter(pa.compute.greater_equal(predictions["score"], 0.7))
    starts = np.asarray(high["asked_at"].cast(pa.int64()).to_numpy())
    left = act_on(high["asset_id"].to_pylist(), starts, history, horizon_us=432_000_000_000, crew=Crew())
    keep_tables({"outcome_log": left.maintenance}, home / "tables")
    folder = home / "predictions" / "model=wear_out" / "date=2024-01-01"
    folder.mkdir(parents=True, exist_ok=True)
    status = pa.array(np.zeros(len(predictions), dtype=np.int8))
    pq.write_table(predictions.append_column("status", status), folder / "all.parquet")
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "wear_out.yaml").write_text(DECLARED)
    monkeypatch.setenv("LINESHAFT_REPO", str(tmp_path))
    (home / "outcomes" / "wear_out.parquet").unlink(missing_ok=True)
    return home


@pytest.mark.usefixtures("judged")
def test_a_model_is_judged_by_what_happened(lineshaft: Lineshaft) -> None:
    """Every figure of the one version, and every state's count."""
    (row,) = lineshaft("outcomes", "wear_out", "--json").rows

    assert row["version"] == "simulated@1"
    assert 0 < row["if_untold_wrong"] < row["if_untold_right"] < 1
    assert row["precision"].split()[0].startswith("0.")
    assert row["prevented"] > 10
    assert row["acted_unknown"] > 10
    assert row["matured"] == 1.0


@pytest.mark.usefixtures("judged")
def test_what_changed_is_told_once(lineshaft: Lineshaft) -> None:
    """The first time all is new; the second time nothing is."""
    first, second = lineshaft("outcomes", "wear_out"), lineshaft("outcomes", "wear_out")

    assert "episodes: new to true_positive" in first.out
    assert "episodes:" not in second.out
    assert "horizon 5 d" in second.out


def test_a_look_back_sees_what_was_known_and_keeps_nothing(judged: Path, lineshaft: Lineshaft) -> None:
    """In the middle of the year there are fewer alerts, some of them pending."""
    (then,) = lineshaft("outcomes", "wear_out", "--at", "2024-03-01T00:00:00", "--json").rows

    assert then["pending"] > 0
    assert then["matured"] < 1.0
    assert not (judged / "outcomes" / "wear_out.parquet").exists()


@pytest.mark.usefixtures("judged")
def test_by_month_and_from_scores_alone(lineshaft: Lineshaft) -> None:
    """A row for each month, with its share that may be judged; and what scores say while that is small."""
    months = lineshaft("outcomes", "wear_out", "--by", "month", "--json").rows
    weeks = lineshaft("outcomes", "wear_out", "--pending", "--json").rows

    assert [row["month"] for row in months][:2] == ["2024-01-01", "2024-02-01"]
    assert all(0 <= row["alerting"] <= 1 and row["slot"] == "champion" for row in weeks)
    assert len(weeks) == 26


@pytest.mark.usefixtures("judged")
def test_a_longer_lag_lets_less_mature(lineshaft: Lineshaft) -> None:
    """Reports that take a month leave the last month pending."""
    words = ("outcomes", "wear_out", "--at", "2024-06-20T00:00:00", "--json")
    (usual,), (slow,) = lineshaft(*words).rows, lineshaft(*words, "--lag", "30d").rows

    assert slow["matured"] < usual["matured"]


@pytest.mark.usefixtures("judged")
@pytest.mark.parametrize("lag", ["soon", "-3d"])
def test_a_lag_that_is_no_duration_is_refused(lineshaft: Lineshaft, lag: str) -> None:
    """The error names the option and what to write."""
    said = lineshaft("outcomes", "wear_out", f"--lag={lag}")

    assert said.code == 1
    assert "is not a duration" in said.err
    assert "--lag" in said.err


@pytest.mark.usefixtures("judged")
def test_a_model_nobody_declared_is_refused(lineshaft: Lineshaft) -> None:
    """The error names those there are."""
    said = lineshaft("outcomes", "wera_out")

    assert said.code == 1
    assert "wear_out" in said.err
