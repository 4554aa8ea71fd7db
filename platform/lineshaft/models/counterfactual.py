"""What would have had to be otherwise: the fewest features, moved the least, that take a score across its threshold.

Trees are steps: a score changes only where a feature passes a threshold of theirs, so the values just at and just below
the thresholds are all there is to try, and a single feature's nearest move is exact. Each feature's moves are thinned
to those that are further away only where they gain more; two are tried in every pairing of these, three by adding to
the pairs that came closest. No feature leaves the range that machines have shown.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from lineshaft.boosters.forest import read_forest
from lineshaft.models.alarms import AlarmRule
from lineshaft.models.detectors import is_detector

Floats = NDArray[np.float32]
Score = Callable[[Floats], NDArray[np.float64]]
MOST_FEATURES = 3
_MOST_VALUES = 256
_MOST_TRIED = 60_000
_BEST_PAIRS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """From where to where a feature may move, and the width that moves are measured in."""

    low: float
    high: float
    spread: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """Features with the values they would have had, how far that is in spreads, and the score it would have given."""

    values: Mapping[str, float]
    distance: float
    score: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _Step:
    feature: int
    value: float
    distance: float


def ranges(features: Sequence[str], shown: Floats) -> dict[str, Range]:
    """Return the range of each feature in rows; one that is never there, or never moves, has none.

    >>> ranges(["a", "b"], np.array([[1, 5], [3, 5]], np.float32))
    {'a': Range(low=1.0, high=3.0, spread=1.0)}
    """
    found = {}
    for place, name in enumerate(features):
        column = shown[:, place][np.isfinite(shown[:, place])].astype(np.float64)
        if len(column) and column.std() > 0:
            found[name] = Range(low=float(column.min()), high=float(column.max()), spread=float(column.std()))
    return found


def stops(artifact: bytes, features: Sequence[str], shown: Floats) -> dict[str, NDArray[np.float32]]:
    """Return the values at which each feature's part in a score may change: thresholds of trees, else 65 quantiles."""
    if is_detector(artifact):
        levels = np.linspace(0, 1, 65)
        columns = {name: shown[:, place] for place, name in enumerate(features)}
        return {
            name: np.quantile(column[np.isfinite(column)], levels).astype(np.float32)
            for name, column in columns.items()
            if np.isfinite(column).any()
        }
    forest = read_forest(artifact)
    asked = forest.left != -1
    return {name: forest.threshold[asked & (forest.split == place)] for place, name in enumerate(features)}


def nearest(
    score: Score,
    row: Floats,
    *,
    features: Sequence[str],
    stops: Mapping[str, NDArray[np.float32]],
    within: Mapping[str, Range],
    rule: AlarmRule,
    count: int = 3,
) -> list[Move]:
    """Return the nearest moves of the fewest features after which a row is judged otherwise; none where there are none.

    stops: the values at which a feature's part in the score may change.
    """
    start = float(score(row[None])[0])
    before = rule.passes(start)
    toward = 1.0 if before != rule.below else -1.0  # the other side lies below a score that is too high, or above
    steps = _steps(row, features, stops, within)
    sets: Sequence[tuple[_Step, ...]] = [(step,) for step in steps]
    for size in range(1, MOST_FEATURES + 1):
        if not sets:
            return []
        scores = score(_moved(row, sets))
        crossed = [
            at for at, value in enumerate(scores.tolist()) if np.isfinite(value) and rule.passes(value) != before
        ]
        if crossed:
            found = sorted(crossed, key=lambda at: (_distance(sets[at]), abs(scores[at])))
            return [_move(sets[at], scores[at], features) for at in _apart(found, sets)[:count]]
        if size == 1:
            front = _front(sets, toward * scores, toward * start)
            sets = [(*pair,) for pair in combinations(front, 2) if pair[0].feature != pair[1].feature][:_MOST_TRIED]
        else:
            closest = np.argsort(toward * scores, kind="stable")[:_BEST_PAIRS]
            sets = [
                (*sets[at], step)
                for at in closest.tolist()
                for step in front
                if step.feature not in {other.feature for other in sets[at]}
            ][:_MOST_TRIED]
    return []


def _steps(
    row: Floats, features: Sequence[str], stops: Mapping[str, NDArray[np.float32]], within: Mapping[str, Range]
) -> list[_Step]:
    """Return the values worth trying of features that are known: at a stop when rising, just below when falling."""
    found = []
    for place, name in enumerate(features):
        if name not in within or name not in stops or not np.isfinite(row[place]):
            continue
        limits, here = within[name], row[place]
        at = np.unique(stops[name])
        if len(at) > _MOST_VALUES:
            at = at[np.unique(np.linspace(0, len(at) - 1, _MOST_VALUES).astype(int))]
        up, down = at[at > here], np.nextafter(at[at <= here], np.float32(-np.inf))
        found += [
            _Step(feature=place, value=value, distance=abs(value - float(here)) / limits.spread)
            for value in np.concatenate([up, down]).tolist()
            if limits.low <= value <= limits.high
        ]
    return found


def _front(sets: Sequence[tuple[_Step, ...]], scores: NDArray[np.float64], start: float) -> list[_Step]:
    """Return of each feature the moves that lower the score more than every nearer one."""
    best: dict[int, float] = {}
    front = []
    for at in sorted(range(len(sets)), key=lambda at: _distance(sets[at])):
        (step,), reached = sets[at], float(scores[at])
        if reached < best.get(step.feature, start):
            best[step.feature] = reached
            front.append(step)
    return front


def _moved(row: Floats, sets: Sequence[tuple[_Step, ...]]) -> Floats:
    """Return the row once for each set of moves."""
    rows = np.repeat(row[None], len(sets), axis=0)
    for at, steps in enumerate(sets):
        for step in steps:
            rows[at, step.feature] = step.value
    return rows


def _apart(found: Sequence[int], sets: Sequence[tuple[_Step, ...]]) -> list[int]:
    """Return of each set of features the nearest move alone."""
    told: dict[frozenset[int], int] = {}
    for at in found:
        told.setdefault(frozenset(step.feature for step in sets[at]), at)
    return list(told.values())


def _distance(steps: tuple[_Step, ...]) -> float:
    return float(sum(step.distance for step in steps))


def _move(steps: tuple[_Step, ...], score: float, features: Sequence[str]) -> Move:
    values = {features[step.feature]: float(step.value) for step in steps}
    return Move(values=values, distance=_distance(steps), score=float(score))
