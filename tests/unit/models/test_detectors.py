"""Detectors say how far a row is from healthy ones, and which feature took it there."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from lineshaft.errors import CorruptError, InputError
from lineshaft.models.detectors import KINDS, Detector, fit, from_bytes, is_detector, to_bytes
from lineshaft.models.isolation import usual_depth
from lineshaft.models.loading import load_model

FEATURES = ("rms", "temperature", "flow")


def healthy(*, rows: int = 600, seed: int = 1) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Return healthy rows: temperature follows rms, flow is by itself, and of another size."""
    generator = np.random.default_rng(seed)
    rms = generator.normal(2, 0.1, rows)
    table = np.column_stack(
        [rms, 50 + 30 * (rms - 2) + generator.normal(0, 0.5, rows), generator.normal(900, 40, rows)]
    )
    return table.astype(np.float32)


def fitted(kind: str) -> Detector:
    """Return a detector of healthy rows."""
    return fit(kind, healthy(), FEATURES, seed=3, trees=50)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_odd_scores_high_and_the_feature_is_named(kind: str) -> None:
    """A flow far off raises the score, and by flow's contribution above all."""
    rows = np.repeat(healthy(rows=1, seed=9), 2, axis=0)
    rows[0, 2] = 1500
    detector = fitted(kind)

    found, usual = detector.score(rows), detector.predict(healthy(seed=2))

    assert found.scores[0] > found.scores[1] + usual.std()
    assert int(np.argmax(found.reasons[0])) == 2


@pytest.mark.parametrize("kind", KINDS)
def test_contributions_add_up_to_the_score(kind: str) -> None:
    """Of a distance to its square, of a forest to its logarithm; rows with missing values too."""
    rows = healthy(seed=4)
    rows[::3, 1] = np.nan
    found = fitted(kind).score(rows)

    margin = found.base + found.reasons.sum(axis=1)

    np.testing.assert_allclose(
        np.exp2(margin) if kind == "forest" else margin, found.scores ** (1 + (kind != "forest"))
    )


def test_what_goes_against_the_usual_company_is_odd_only_to_a_mahalanobis_distance() -> None:
    """Warm at little vibration: each by itself is usual, together they are not."""
    against = np.array([[1.85, 54.5, 900]], dtype=np.float32)
    rank = {kind: np.mean(fitted(kind).predict(healthy(seed=5)) < fitted(kind).predict(against)[0]) for kind in KINDS}

    assert rank["mahalanobis"] > 0.999 > rank["distance"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_detector_is_read_back_to_the_bit_and_scores_a_row_alone_as_among_others(kind: str) -> None:
    """The bytes are the same for the same rows and seed, and so are scores, however many rows are asked about."""
    detector = fitted(kind)
    rows = healthy(rows=70, seed=6)
    rows[5, 0] = np.nan
    back = load_model(to_bytes(detector), features=FEATURES)

    together = back.score(rows)
    alone = [back.score(rows[i : i + 1]) for i in range(70)]

    assert to_bytes(detector) == to_bytes(fitted(kind))
    assert np.array_equal(together.scores, detector.predict(rows))
    assert np.array_equal(together.scores, np.concatenate([one.scores for one in alone]))
    assert np.array_equal(together.reasons, np.concatenate([one.reasons for one in alone]))


@pytest.mark.parametrize("kind", KINDS)
def test_a_row_of_which_nothing_is_known_has_no_score(kind: str) -> None:
    """NaN, not the score of an ordinary row."""
    assert np.isnan(fitted(kind).predict(np.full((1, 3), np.nan, dtype=np.float32))).all()


def test_a_distance_is_not_moved_by_a_few_odd_rows_among_the_healthy() -> None:
    """A twentieth of the rows far off changes middle and spread by less than a tenth of the spread."""
    rows = healthy()
    rows[::20] *= 5
    clean, soiled = (fit("distance", one, FEATURES, seed=1, trees=1) for one in (healthy(), rows))

    assert np.allclose(clean.score(healthy(seed=7)).scores, soiled.score(healthy(seed=7)).scores, rtol=0.15, atol=0.05)


def test_a_forest_scores_as_its_authors_do() -> None:
    """The usual depth of two rows is one cut; a row set apart by the first cut of every tree scores near 1."""
    assert usual_depth(2) == 1
    rows = healthy(rows=64)
    rows[0] = 1e6

    assert fit("forest", rows, FEATURES, seed=1, trees=60).predict(rows[:1])[0] > 0.8
    assert np.median(fit("forest", rows, FEATURES, seed=1, trees=60).predict(rows[1:])) < 0.55


def test_a_feature_that_never_moves_is_refused() -> None:
    """Any change of it would be infinitely far."""
    rows = healthy()
    rows[:, 1] = 50

    with pytest.raises(InputError, match="'temperature' never moves"):
        fit("distance", rows, FEATURES, seed=1, trees=1)


@pytest.mark.parametrize(
    "change",
    [
        {"detector": "oracle"},
        {"centre": [1, 2]},
        {"centre": [1, 2, None]},
        {"covariance": [[1, 0, 0], [0, -1, 0], [0, 0, 1]]},
        {"features": "rms"},
    ],
)
def test_bytes_that_are_no_distance_are_refused(change: dict[str, Any]) -> None:
    """Whatever does not fit together is told, not scored with."""
    told = {**json.loads(to_bytes(fitted("distance"))), **change}

    with pytest.raises(CorruptError, match="no detector"):
        from_bytes(json.dumps(told).encode())


@pytest.mark.parametrize(
    ("name", "value"), [("low", -1), ("high", 10_000), ("feature", 3), ("cut", "x"), ("expected", None)]
)
def test_a_forest_in_which_a_walk_would_go_astray_is_refused(name: str, value: object) -> None:
    """A child before its parent, a node or a feature that is not there, a number that is none."""
    told = json.loads(to_bytes(fitted("forest")))
    told[name][0][0] = value

    with pytest.raises(CorruptError, match="no detector"):
        from_bytes(json.dumps(told).encode())


def test_a_detector_of_other_features_is_refused() -> None:
    """The registry says which inputs a model has, in which order."""
    artifact = to_bytes(fitted("distance"))

    assert is_detector(artifact)
    with pytest.raises(CorruptError, match="not those registered"):
        load_model(artifact, features=FEATURES[::-1])
