"""The nearest otherwise: the fewest features, moved the least, and never out of what machines have shown."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import numpy as np
import pytest
import xgboost
from numpy.typing import NDArray

from lineshaft.models.alarms import AlarmRule
from lineshaft.models.counterfactual import nearest, ranges, stops
from lineshaft.models.detectors import fit, to_bytes
from lineshaft.models.scoring import Scorer

NAMES = ("a", "b", "c")
SHOWN = np.random.default_rng(4).normal(size=(400, 3)).astype(np.float32)
HALF = AlarmRule(threshold=0.5)
STOPS = {name: np.array([0.0, 1.0], np.float32) for name in NAMES}


def all_of(*places: int) -> Callable[[NDArray[np.float32]], NDArray[np.float64]]:
    """Return a score that is high where all these features are at least 1."""

    def score(rows: NDArray[np.float32]) -> NDArray[np.float64]:
        met: NDArray[np.float64] = 0.8 * (rows[:, list(places)] >= 1).mean(axis=1, dtype=np.float64)
        return met

    return score


@pytest.mark.parametrize("places", [(1,), (0, 2), (0, 1, 2)])
def test_the_fewest_features_that_suffice_are_named(places: tuple[int, ...]) -> None:
    """One where one does it, two where it takes two, three where it takes three; no more than is needed."""
    rule = AlarmRule(threshold=0.75)

    found = nearest(
        all_of(*places),
        np.zeros(3, np.float32),
        features=NAMES,
        stops=STOPS,
        within=ranges(NAMES, SHOWN),
        rule=rule,
    )

    assert [dict(move.values) for move in found] == [{NAMES[place]: 1.0 for place in places}]
    assert found[0].score == pytest.approx(0.8)
    assert found[0].distance == pytest.approx(sum(1 / SHOWN[:, place].std() for place in places), rel=1e-6)


def test_nothing_leaves_the_range_that_was_shown() -> None:
    """Where only an impossible value would do, nothing is said; nor of a feature that is missing or never moves."""
    within, zeros = ranges(NAMES, SHOWN), np.zeros(3, np.float32)
    far = {name: np.array([100.0], np.float32) for name in NAMES}
    rule = AlarmRule(threshold=0.75)
    given = {"features": NAMES, "within": within, "rule": rule}

    assert nearest(all_of(0), zeros, stops=far, **given) == []  # type: ignore[arg-type]
    missing = np.full(3, np.nan, np.float32)
    assert nearest(all_of(0), missing, stops=STOPS, **given) == []  # type: ignore[arg-type]
    assert ranges(["x", "y"], np.array([[np.nan, 1], [np.nan, 1]], np.float32)) == {}


@pytest.mark.parametrize("below", [False, True])
def test_of_trees_one_feature_is_moved_by_the_least_there_is(below: bool) -> None:
    """Against brute force over every cell of a booster's thresholds: as near, and just across."""
    rows = xgboost.DMatrix(SHOWN, label=(SHOWN[:, 0] > 0.3).astype(float), feature_names=list(NAMES), nthread=1)
    trained = xgboost.train({"objective": "binary:logistic", "max_depth": 3, "nthread": 1}, rows, 15)
    artifact = bytes(trained.save_raw("ubj"))
    scorer = Scorer.load(artifact, features=NAMES)
    rule, within = AlarmRule(threshold=0.5, below=below), ranges(NAMES, SHOWN)
    at = stops(artifact, NAMES, SHOWN)
    for row in SHOWN[:10]:
        before = rule.passes(float(scorer.predict(row[None])[0]))
        tried = []
        for place, name in enumerate(NAMES):
            for stop, side in product(np.unique(at[name]), (False, True)):
                value = np.nextafter(stop, np.float32(-np.inf)) if side else stop
                moved = row.copy()
                moved[place] = value
                crossed = rule.passes(float(scorer.predict(moved[None])[0])) != before
                if crossed and within[name].low <= value <= within[name].high:
                    tried.append(abs(float(value) - float(row[place])) / within[name].spread)

        found = nearest(scorer.predict, row, features=NAMES, stops=at, within=within, rule=rule)

        if tried:
            assert len(found[0].values) == 1
            assert found[0].distance == pytest.approx(min(tried), rel=1e-6)
        for move in found:
            other = row.copy()
            other[[NAMES.index(name) for name in move.values]] = list(move.values.values())
            assert rule.passes(float(scorer.predict(other[None])[0])) != before


def test_a_detector_is_asked_at_the_quantiles_of_its_rows() -> None:
    """It has no thresholds; the way back to normal is found all the same."""
    detector = fit("distance", SHOWN, NAMES, seed=1, trees=1)
    row = np.array([2.5, 0.0, 0.0], np.float32)
    at = stops(to_bytes(detector), NAMES, SHOWN)

    found = nearest(
        detector.predict,
        row,
        features=NAMES,
        stops=at,
        within=ranges(NAMES, SHOWN),
        rule=AlarmRule(threshold=1.0),
    )

    assert list(found[0].values) == ["a"]
    assert found[0].score < 1.0
    assert len(at["a"]) == 65
