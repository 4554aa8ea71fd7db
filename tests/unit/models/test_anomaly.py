"""A detector is trained on healthy rows and judged by how often it would cry wolf over assets it never saw."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from lineshaft.errors import InputError
from lineshaft.models.alarms import AlarmRule
from lineshaft.models.detectors import fit
from lineshaft.models.loading import load_model
from lineshaft.models.matrix import examples
from lineshaft.models.spec import ModelSpec
from lineshaft.models.training import train
from lineshaft.ops.learning import healthy

HOUR_US = 3_600_000_000
SPEC = ModelSpec(
    name="bearing_anomaly",
    task="anomaly",
    service="bearing_trend",
    features=("v__level", "v__shape"),
    detector="distance",
    alert=AlarmRule(threshold=3, persist=2, among=2),
    folds=4,
)


def rows(*, assets: int = 8, hours: int = 48, wild: int = 0) -> pa.Table:
    """Return healthy rows of a fleet, of which some assets are ten times as restless as the others."""
    generator = np.random.default_rng(7)
    restless = np.repeat(np.where(np.arange(assets) < wild, 10, 1), hours)
    return pa.table(
        {
            "asset_id": np.repeat([f"pump-{i}" for i in range(assets)], hours),
            "event_time": pa.array(np.tile(np.arange(hours), assets) * HOUR_US).cast(pa.timestamp("us", tz="UTC")),
            "v__level": restless * generator.normal(size=assets * hours),
            "v__shape": restless * generator.normal(size=assets * hours),
            "label": np.zeros(assets * hours),
        }
    )


@pytest.mark.parametrize("kind", ["distance", "mahalanobis", "forest"])
def test_rows_in_any_order_give_the_same_detector(kind: str) -> None:
    """Bytes and figures are the same; the rule it is to alert by, and its detector, are kept with it."""
    spec, table = replace(SPEC, detector=kind, params={"trees": 5}), rows()
    shuffled = table.take(np.random.default_rng(1).permutation(table.num_rows))

    first, second = train(spec, table), train(spec, shuffled)

    assert (first.artifact, first.training_set, dict(first.metrics)) == (
        second.artifact,
        second.training_set,
        dict(second.metrics),
    )
    assert first.artifact_format == "json"
    assert first.params["detector"] == kind
    assert AlarmRule.of(first.params, task="anomaly") == SPEC.alert
    assert load_model(first.artifact, features=SPEC.features).features == SPEC.features


def test_false_alarms_are_counted_on_assets_that_the_detector_never_saw() -> None:
    """One restless asset of eight: each quiet one is judged by a detector that knows quiet ones, and it by them too."""
    quiet, figures = train(SPEC, rows()).metrics, train(SPEC, rows(wild=1)).metrics
    table = rows(wild=1)
    own = examples(SPEC, table.filter(pa.compute.equal(table["asset_id"], "pump-0")))
    by_itself = fit("distance", own.values, SPEC.features, seed=1, trees=1).predict(own.values)

    assert quiet["false_alarm_share"] < 0.01
    assert figures["false_alarm_share"] > 0.08
    assert (by_itself >= 3).mean() < 0.01
    assert figures["false_alarm_share_low"] < figures["false_alarm_share"] < figures["false_alarm_share_high"]
    assert figures["baseline_false_alarm_share"] == 1


def test_alarms_a_day_are_those_that_the_rule_would_raise() -> None:
    """Two in a row of a restless asset's rows: fewer than the rows that pass, and none where none passes."""
    figures = train(SPEC, rows(wild=1)).metrics
    days = 8 * 47 / 24
    passing = figures["false_alarm_share"] * figures["test_rows"]

    assert 0.99 < figures["alarms_per_asset_day"] * days < passing / 2
    assert train(replace(SPEC, alert=AlarmRule(threshold=99)), rows()).metrics["alarms_per_asset_day"] == 0


def test_held_out_assets_do_not_teach() -> None:
    """Without folds the artifact is of the others alone."""
    spec = replace(SPEC, folds=0, test_share=0.25)

    trained = train(spec, rows())

    assert (trained.metrics["train_rows"], trained.metrics["test_rows"]) == (6 * 48, 2 * 48)
    assert trained.artifact != train(SPEC, rows()).artifact


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"detector": ""}, "detector '' does not belong to the task 'anomaly'"),
        ({"task": "rul"}, "detector 'distance' does not belong to the task 'rul'"),
        ({"alert": None}, "needs its alert"),
    ],
)
def test_a_detector_without_its_task_or_its_alert_is_refused(change: dict[str, Any], text: str) -> None:
    """Before any data is read."""
    with pytest.raises(InputError, match=text):
        replace(SPEC, **change)


def test_the_first_stretch_of_each_asset_is_healthy() -> None:
    """Counted from its own first row; what comes later is not learned from, and told."""
    table = rows(assets=2).select(["asset_id", "event_time"])
    late = table.filter(pa.compute.equal(table["asset_id"], "pump-1")).slice(20)
    table = pa.concat_tables([table.filter(pa.compute.equal(table["asset_id"], "pump-0")), late])

    found = healthy(table, healthy_us=24 * HOUR_US)

    assert found.table["asset_id"].to_pylist() == ["pump-0"] * 24 + ["pump-1"] * 24
    assert found.table["event_time"][24].as_py() == table["event_time"][48].as_py()
    assert found.dropped == {"not_known_healthy": 28}
