"""Scores and gates: undefined is unknown, and unknown is not a pass."""

from __future__ import annotations

import math

import numpy as np
import pytest

from lineshaft.models.gate import GatePolicy, judge
from lineshaft.models.scores import average_precision, evaluate

HIGHER = GatePolicy(name="g", metric="pr_auc", better="higher", margin=0.1, min_groups=5, min_positive_groups=3)
FIGURES = {
    "pr_auc": 0.8,
    "pr_auc_low": 0.7,
    "baseline_pr_auc": 0.1,
    "test_groups": 10.0,
    "test_positive_groups": 4.0,
}


@pytest.mark.parametrize(
    ("changes", "outcome"),
    [
        ({}, "pass"),
        ({"pr_auc_low": 0.15}, "fail"),
        ({"test_groups": 4.0}, "unknown"),
        ({"test_positive_groups": 2.0}, "unknown"),
        ({"pr_auc_low": math.nan}, "unknown"),
    ],
)
def test_gate_outcomes(changes: dict[str, float], outcome: str) -> None:
    """The near end of the interval decides; too little evidence decides nothing."""
    assert judge(HIGHER, {**FIGURES, **changes}).outcome == outcome


def test_missing_figures_are_unknown() -> None:
    """A gate without its figure passes nothing."""
    assert judge(HIGHER, {}).outcome == "unknown"


def naive_average_precision(labels: list[int], scores: list[float]) -> float:
    """Sum precision times the gain in recall over every distinct threshold."""
    total, reached = 0.0, 0.0
    for threshold in sorted(set(scores), reverse=True):
        taken = [label for label, score in zip(labels, scores, strict=True) if score >= threshold]
        recall = sum(taken) / sum(labels)
        total += (recall - reached) * sum(taken) / len(taken)
        reached = recall
    return total


def test_average_precision_equals_its_definition() -> None:
    """On random scores with many ties the vectorized figure is the sum over thresholds."""
    generator = np.random.default_rng(1)
    for _ in range(50):
        labels = np.append(generator.integers(0, 2, 30), 1).astype(np.float64)
        scores = generator.integers(0, 8, 31) / 8

        found = average_precision(labels, scores)

        assert found == pytest.approx(naive_average_precision([int(x) for x in labels], scores.tolist()), abs=1e-12)


def test_no_positives_is_undefined() -> None:
    """A window without failures has no precision, rather than a bad one."""
    assert math.isnan(average_precision(np.zeros(4), np.ones(4)))
    figures = evaluate(
        "binary",
        train_labels=np.array([0.0, 1.0]),
        labels=np.zeros(4),
        scores=np.ones(4),
        groups=np.array(list("abcd")),
        seed=1,
    )
    assert math.isnan(figures["pr_auc"])
    assert judge(HIGHER, figures).outcome == "unknown"


def test_the_baseline_of_precision_recall_is_the_prevalence() -> None:
    """Without features the best ranking is none: precision equals the share of positives."""
    labels = np.array([1.0, 0, 0, 0])
    figures = evaluate(
        "binary", train_labels=labels, labels=labels, scores=labels, groups=np.array(list("abcd")), seed=1
    )
    assert (figures["pr_auc"], figures["baseline_pr_auc"]) == (1.0, 0.25)
