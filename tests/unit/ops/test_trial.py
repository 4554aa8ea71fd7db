"""How an experiment stands: each asset once, in its own arm, by what may be judged."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from lineshaft.errors import InputError
from lineshaft.ops.trial import asset_values, standing_of
from lineshaft.outcomes.arms import challenged
from lineshaft.outcomes.episodes import MOMENT
from lineshaft.outcomes.states import Rule
from lineshaft.registry.records import Experiment

DAY_US = 86_400_000_000
RULE = Rule(horizon_us=5 * DAY_US)
ASSETS = [f"pump-{n:02d}" for n in range(60)]
EXPERIMENT = Experiment(
    model="wear",
    environment="prod",
    champion=1,
    challenger=2,
    unit="asset",
    salt="spring",
    weight_bp=5_000,
    metric="brier",
    effect=0.05,
    alpha=0.05,
    min_assets=10,
    started_us=10 * DAY_US,
)
THEIRS = challenged(ASSETS, salt="spring", weight_bp=5_000)
LOG = pa.table(
    {
        "asset_id": ASSETS[::3],
        "event_time": pa.array([60 * DAY_US] * 20).cast(MOMENT),
        "kind": ["failure"] * 20,
    }
)


def asked(scores: tuple[float, float]) -> pa.Table:
    """Return thirty days of predictions; each arm is sure, and right as far as it is sure of what will be."""
    dice = np.random.default_rng(1)
    rows = []
    for asset, is_theirs in zip(ASSETS, THEIRS.tolist(), strict=True):
        for day in range(35, 65):
            fails = ASSETS.index(asset) % 3 == 0 and 55 <= day < 60
            score = scores[is_theirs] + dice.normal(0, 0.02)
            version, slot = ("wear@2", "challenger") if is_theirs else ("wear@1", "champion")
            rows.append((asset, day * DAY_US, version, slot, 1 - score if fails else score))
    names = ("asset_id", "asked_at", "version", "role", "score")
    table = pa.table([list(column) for column in zip(*rows, strict=True)], names=list(names))
    return table.set_column(1, "asked_at", table["asked_at"].cast(MOMENT))


def test_the_arm_that_errs_less_is_told() -> None:
    """Squared error by asset: the challenger's assets lose less, or more; alike arms are undecided."""
    better = standing_of(EXPERIMENT, asked((0.4, 0.2)), LOG, rule=RULE, at_us=99 * DAY_US)
    worse = standing_of(EXPERIMENT, asked((0.2, 0.4)), LOG, rule=RULE, at_us=99 * DAY_US)
    alike = standing_of(EXPERIMENT, asked((0.3, 0.3)), LOG, rule=RULE, at_us=99 * DAY_US)

    assert [one.comparison.outcome for one in (better, worse, alike)] == ["challenger", "champion", "undecided"]
    assert better.comparison.champion_assets == int(np.sum(~THEIRS))
    assert better.comparison.difference == pytest.approx(0.2**2 - 0.4**2, abs=0.01)
    assert better.matured == 1.0


def test_only_what_may_be_judged_counts() -> None:
    """Before any horizon is over there are too few assets; later a part has matured."""
    early = standing_of(EXPERIMENT, asked((0.4, 0.2)), LOG, rule=RULE, at_us=36 * DAY_US)
    later = standing_of(EXPERIMENT, asked((0.4, 0.2)), LOG, rule=RULE, at_us=54 * DAY_US)

    assert (early.comparison.outcome, early.matured) == ("too_few_assets", 0.0)
    assert 0 < later.matured < 1
    assert standing_of(EXPERIMENT, pa.table({}), LOG, rule=RULE, at_us=0).comparison.outcome == "too_few_assets"


def test_what_was_asked_before_or_stood_in_does_not_count() -> None:
    """Predictions of before the start, and the champion's for assets of the other arm, are in neither arm."""
    table = asked((0.4, 0.2))
    stood_in = table.filter(pa.array(np.repeat(THEIRS, 30)))
    stood_in = stood_in.set_column(2, "version", pa.array(["wear@1"] * len(stood_in)))
    stood_in = stood_in.set_column(3, "role", pa.array(["champion"] * len(stood_in)))

    plain = standing_of(EXPERIMENT, table, LOG, rule=RULE, at_us=99 * DAY_US)
    both = standing_of(EXPERIMENT, pa.concat_tables([table, stood_in]), LOG, rule=RULE, at_us=99 * DAY_US)
    after = replace(EXPERIMENT, started_us=90 * DAY_US)

    assert both == plain
    assert standing_of(after, table, LOG, rule=RULE, at_us=99 * DAY_US).comparison.champion_assets == 0


def test_alarms_and_misses_are_counted_by_the_day() -> None:
    """Thirty days without an alert: each failing asset missed one; with one that lasts, others had a false one."""
    silent, loud = asked((0.1, 0.1)), asked((0.9, 0.9))
    silent = silent.set_column(4, "score", pa.array([0.1] * len(silent)))

    misses = asset_values("misses", silent, LOG, rule=RULE, at_us=99 * DAY_US)
    alarms = asset_values("false_alarms", loud, LOG, rule=RULE, at_us=99 * DAY_US)

    assert (misses["pump-00"], misses["pump-01"]) == (1 / 30, 0.0)
    assert alarms["pump-01"] == 1 / 30
    assert set(misses) == set(ASSETS)


def test_a_metric_that_is_none_is_refused() -> None:
    """The error names those there are."""
    with pytest.raises(InputError, match="'f1'"):
        asset_values("f1", asked((0.1, 0.1)), LOG, rule=RULE, at_us=99 * DAY_US)
