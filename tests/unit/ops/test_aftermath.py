"""What became of a model's predictions: the same each time, and told where a later entry changed it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from lineshaft.errors import InputError
from lineshaft.models.alarms import AlarmRule
from lineshaft.ops.aftermath import alerting, judge_all, proxies, rule_of
from lineshaft.ops.model_file import ModelFile
from lineshaft.outcomes.episodes import MOMENT
from lineshaft.outcomes.states import Rule

DAY_US = 86_400_000_000
DECLARED = ModelFile(
    name="wear", task="binary", service="s", every_us=DAY_US, split_by="asset_id", log="log", horizon_us=5 * DAY_US
)
RULE = Rule(horizon_us=5 * DAY_US)


def predictions(*rows: tuple[str, int, float | None], version: str = "wear@1") -> pa.Table:
    """Return predictions: asset, day, score."""
    assets, days, scores = zip(*rows, strict=True)
    return pa.table(
        {
            "asset_id": assets,
            "asked_at": pa.array(np.array(days) * DAY_US).cast(MOMENT),
            "version": [version] * len(rows),
            "score": pa.array(scores, pa.float64()),
            "status": pa.array([2 if score is None else 0 for score in scores], pa.int8()),
        }
    )


def log(*rows: tuple[str, int, str, int]) -> pa.Table:
    """Return a maintenance log: asset, day, kind, day known."""
    assets, days, kinds, known = zip(*rows, strict=True) if rows else ((), (), (), ())
    times = [pa.array(np.array(column, dtype=np.int64) * DAY_US).cast(MOMENT) for column in (days, known)]
    return (
        pa.table({"asset_id": pa.array(assets, pa.string()), "event_time": times[0]})
        .append_column("known_at", times[1])
        .append_column("kind", pa.array(kinds, pa.string()))
    )


ALERTS = predictions(("pump", 0, 0.9), ("fan", 0, 0.9), ("press", 0, 0.1))


def test_judging_again_changes_nothing(tmp_path: Path) -> None:
    """The same predictions and entries make the same bytes, and nothing is told as changed the second time."""
    kept = tmp_path / "wear.parquet"

    first = judge_all(ALERTS, log(("pump", 3, "failure", 4)), rule=RULE, at_us=9 * DAY_US, kept=kept)
    written = kept.read_bytes()
    again = judge_all(ALERTS, log(("pump", 3, "failure", 4)), rule=RULE, at_us=9 * DAY_US, kept=kept)

    assert first.changed == {
        "new to false_positive": 1,
        "new to true_negative": 1,
        "new to true_positive": 2,
    }
    assert (again.changed, kept.read_bytes()) == ({}, written)


def test_a_late_report_changes_what_it_must_and_says_so(tmp_path: Path) -> None:
    """The fan's failure was written down on day 20; a look back to day 9 keeps nothing and sees what was seen then."""
    kept = tmp_path / "wear.parquet"
    late = log(("pump", 3, "failure", 4), ("fan", 2, "failure", 20))
    judge_all(ALERTS, late, rule=RULE, at_us=9 * DAY_US, kept=kept)

    now = judge_all(ALERTS, late, rule=RULE, at_us=30 * DAY_US, kept=kept)
    back = judge_all(ALERTS, late, rule=RULE, at_us=9 * DAY_US)
    unchanged = judge_all(ALERTS, late, rule=RULE, at_us=30 * DAY_US, kept=kept)

    assert now.changed == {"false_positive to true_positive": 1, "new to true_positive": 1}
    assert sorted(back.episodes["state"].to_pylist()) == [
        "false_positive",
        "true_negative",
        "true_positive",
        "true_positive",
    ]
    assert (back.changed, unchanged.changed) == ({}, {})


def test_the_rule_is_the_models_own() -> None:
    """Horizon and alert from its file, the lag from what its log shows, unless another is given."""
    entries = log(("pump", 1, "failure", 4), ("fan", 1, "failure", 2))
    own = replace(DECLARED, alert=AlarmRule(threshold=0.4))

    assert rule_of(own, entries, at_us=9 * DAY_US) == Rule(
        horizon_us=5 * DAY_US, lag_us=3 * DAY_US, alarm=AlarmRule(threshold=0.4)
    )
    assert rule_of(DECLARED, entries, at_us=9 * DAY_US, lag_us=7).lag_us == 7
    assert rule_of(DECLARED, entries, at_us=9 * DAY_US).alarm.threshold == 0.7


def test_a_model_without_alerts_is_not_judged() -> None:
    """A remaining life has no horizon: the error says what can be judged."""
    life = ModelFile(name="life", task="rul", service="s", every_us=1, split_by="asset_id", ends="truth")

    assert alerting(DECLARED) is DECLARED
    with pytest.raises(InputError, match="'life' raises no alerts"):
        alerting(life)


def test_scores_alone_say_when_something_shifts() -> None:
    """By week and version: levels, the share that alerts, the share of inputs amiss, and how much may be judged."""
    asked = predictions(("pump", 4, 0.2), ("fan", 5, 0.8), ("fan", 11, 0.9), ("pump", 12, None), ("pump", 13, 0.7))

    rows = proxies(asked, rule=RULE, at_us=11 * DAY_US, by="week")

    assert [(row["week"], row["slot"], row["scored"]) for row in rows] == [
        ("1970-01-05", "champion", 2),
        ("1970-01-12", "champion", 2),
    ]
    assert [(row["mean"], row["alerting"], row["inputs_amiss"]) for row in rows] == [
        (0.5, 0.5, 0.0),
        (pytest.approx(0.8), 1.0, pytest.approx(1 / 3)),
    ]
    assert [row["matured"] for row in rows] == [1.0, 0.0]
    assert proxies(pa.table({}), rule=RULE, at_us=0, by="week") == []
