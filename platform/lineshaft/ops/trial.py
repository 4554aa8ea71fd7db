"""What an experiment says so far: one value for each asset of each arm, from predictions whose outcome is known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from lineshaft.errors import InputError
from lineshaft.models.events import known_events
from lineshaft.outcomes.arms import challenged
from lineshaft.outcomes.episodes import MOMENT, episodes
from lineshaft.outcomes.states import ORDER, Rule, State, judge
from lineshaft.outcomes.trials import Comparison, TrialRule, compare
from lineshaft.registry.records import Experiment, Slot

METRICS = ("brier", "false_alarms", "misses")
"""What arms may be compared by, lower being better: the mean squared error of a probability; alerts that were false, or
failures that were missed, for each day that an asset was asked about."""
Values = dict[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """How an experiment stands, and of how many of its predictions the outcome is known."""

    comparison: Comparison
    matured: float


def check_metric(name: str) -> str:
    """Return the name of a metric.

    Raises
    ------
    InputError
        If it is none.
    """
    if name not in METRICS:
        raise InputError(f"arms cannot be compared by {name!r}", fix=f"use one of {', '.join(METRICS)}")
    return name


def standing_of(experiment: Experiment, predictions: pa.Table, log: pa.Table, *, rule: Rule, at_us: int) -> Trial:
    """Compare the arms by what was known at a moment.

    An asset belongs to the arm that its hash says, and counts with the predictions of that arm's version since the
    experiment began; what stood in for a challenger that failed counts for neither.
    """
    arms = [(Slot.CHAMPION, experiment.champion), (Slot.CHALLENGER, experiment.challenger)]
    values, ripe, asked = [], 0, 0
    for slot, number in arms:
        mine = _of_arm(experiment, predictions, slot, f"{experiment.model}@{number}")
        times = _times(mine)
        ripe, asked = ripe + int(np.sum(times + rule.matures_us <= at_us)), asked + len(mine)
        values.append(asset_values(experiment.metric, mine, log, rule=rule, at_us=at_us))
    wanted = TrialRule(effect=experiment.effect, alpha=experiment.alpha, min_assets=experiment.min_assets)
    champion, challenger = (np.array(list(one.values()), dtype=np.float64) for one in values)
    return Trial(comparison=compare(champion, challenger, rule=wanted), matured=ripe / asked if asked else 0.0)


def asset_values(metric: str, predictions: pa.Table, log: pa.Table, *, rule: Rule, at_us: int) -> Values:
    """Return one value for each asset of which any prediction may be judged."""
    events, times = known_events(log, at_us=at_us), _times(predictions)
    ripe = predictions.filter(pa.array(times + rule.matures_us <= at_us))
    ripe = ripe.filter(pc.is_valid(ripe["score"])) if len(ripe) else ripe
    if not len(ripe):
        return {}
    names = np.array(ripe["asset_id"].to_pylist(), dtype=object)
    if check_metric(metric) == "brier":
        scores = np.asarray(ripe["score"].to_numpy())
        passes = np.array([rule.alarm.passes(score) for score in scores], dtype=bool)
        states = judge(ripe["asset_id"], _times(ripe), passes, events=events, rule=rule, at_us=at_us).states
        bad = np.isin(
            states, [ORDER.index(one) for one in (State.TRUE_POSITIVE, State.PREVENTED, State.FALSE_NEGATIVE)]
        )
        told = bad | np.isin(states, [ORDER.index(one) for one in (State.FALSE_POSITIVE, State.TRUE_NEGATIVE)])
        return _means(names[told], ((scores - bad) ** 2)[told])
    kind, state = ("alert", State.FALSE_POSITIVE) if metric == "false_alarms" else ("event", State.FALSE_NEGATIVE)
    table = episodes(ripe, events, rule=rule, at_us=at_us)
    found = table.filter(pc.and_(pc.equal(table["kind"], kind), pc.equal(table["state"], str(state))))["asset_id"]
    days = np.array([f"{name}|{at // 86_400_000_000}" for name, at in zip(names, _times(ripe).tolist(), strict=True)])
    watched = [name.rpartition("|")[0] for name in np.unique(days).tolist()]
    counts = dict(zip(*(one.tolist() for one in np.unique(found.to_pylist(), return_counts=True)), strict=True))
    return {name: counts.get(name, 0) / watched.count(name) for name in dict.fromkeys(watched)}


def _of_arm(experiment: Experiment, predictions: pa.Table, slot: Slot, version: str) -> pa.Table:
    """Return the predictions that count for an arm."""
    if not len(predictions):
        return predictions
    since = pc.greater_equal(predictions["asked_at"].cast(MOMENT).cast(pa.int64()), experiment.started_us)
    role = predictions["role"] if "role" in predictions.column_names else pa.array(["champion"] * len(predictions))
    mine = pc.and_(pc.equal(pc.fill_null(role, "champion"), str(slot)), pc.equal(predictions["version"], version))
    mine = predictions.filter(pc.and_(since, mine))
    theirs = challenged(mine["asset_id"].to_pylist(), salt=experiment.salt, weight_bp=experiment.weight_bp)
    return mine.filter(pa.array(theirs == (slot is Slot.CHALLENGER), pa.bool_()))


def _times(predictions: pa.Table) -> NDArray[np.int64]:
    if not len(predictions):
        return np.empty(0, dtype=np.int64)
    return np.asarray(predictions["asked_at"].cast(MOMENT).cast(pa.int64()).to_numpy(), dtype=np.int64)


def _means(names: NDArray[np.object_], values: NDArray[np.float64]) -> Values:
    """Return the mean of each name's values."""
    there, member = np.unique(names.astype(str), return_inverse=True)
    sums, counts = np.bincount(member, weights=values), np.bincount(member)
    return dict(zip(there.tolist(), (sums / np.maximum(counts, 1)).tolist(), strict=True)) if len(names) else {}
