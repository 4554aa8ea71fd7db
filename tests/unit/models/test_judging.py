"""Figures: undefined is unknown, baselines know nothing, and a gain is counted on the same rows."""

from __future__ import annotations

import math

import numpy as np
import pytest

from lineshaft.models.scores import average_precision, evaluate, gain


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


def test_the_baseline_of_precision_recall_is_the_prevalence() -> None:
    """Without features the best ranking is none: precision equals the share of positives."""
    labels = np.array([1.0, 0, 0, 0])
    figures = evaluate(
        "binary", train_labels=labels, labels=labels, scores=labels, groups=np.array(list("abcd")), seed=1
    )
    assert (figures["pr_auc"], figures["baseline_pr_auc"]) == (1.0, 0.25)


def test_a_gain_is_paired_by_asset() -> None:
    """What is hard for both models is no difference: the interval of the gain is far narrower than those of the two."""
    dice = np.random.default_rng(4)
    groups = np.repeat([f"a{i}" for i in range(12)], 30)
    hardness = np.repeat(dice.uniform(0.5, 8.0, 12), 30)
    labels = dice.normal(size=360)
    rival = labels + hardness * dice.normal(size=360)
    scores = labels + 0.9 * (rival - labels)

    name, better = gain("rul", labels=labels, scores=scores, rival=rival, groups=groups, seed=1)
    _, same = gain("rul", labels=labels, scores=rival, rival=rival, groups=groups, seed=1)
    own = evaluate("rul", train_labels=labels, labels=labels, scores=scores, groups=groups, seed=1)

    assert name == "rmse"
    assert better.value == pytest.approx(0.1)
    assert better.low == pytest.approx(0.1)
    assert (same.value, same.low, same.high) == (0.0, 0.0, 0.0)
    assert own["rmse_high"] - own["rmse_low"] > 0.5


def test_a_gain_over_nothing_wrong_is_unknown() -> None:
    """A share of an error of 0 is no number; a gain in precision is a plain difference."""
    labels, groups = np.array([0.0, 1.0, 0.0, 1.0]), np.array(list("aabb"))

    _, over_perfect = gain("rul", labels=labels, scores=labels + 1, rival=labels, groups=groups, seed=1)
    _, precise = gain("binary", labels=labels, scores=labels, rival=1 - labels, groups=groups, seed=1)

    assert over_perfect.value is None
    assert (precise.value, precise.baseline) == (0.5, 0.5)
