"""The gate at its limits, and figures against worked examples: what decides which version serves."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lineshaft.errors import DefinitionError
from lineshaft.models.gate import GatePolicy, judge
from lineshaft.models.scores import average_precision, evaluate, rmse

UP = {"name": "g", "metric": "m", "better": "higher", "margin": 0.25, "min_groups": 5, "min_positive_groups": 2}
DOWN = {**UP, "better": "lower", "min_positive_groups": 0}


def outcome(policy: dict[str, Any], **figures: float) -> str:
    """Return what a policy says of figures that would pass but for those given."""
    plain = {"m": 8.0, "m_low": 7.0, "m_high": 2.0, "baseline_m": 4.0, "test_groups": 5.0, "test_positive_groups": 2.0}
    return judge(GatePolicy(**policy), {**plain, **figures}).outcome


@pytest.mark.parametrize(
    ("figures", "expected"),
    [
        ({"m_low": 4.25}, "fail"),
        ({"m_low": 4.250001}, "pass"),
        ({"baseline_m": 6.75}, "fail"),
        ({"baseline_m": 6.7499}, "pass"),
        ({"m_high": 0.0}, "pass"),
        ({"test_groups": 4.0}, "unknown"),
        ({"test_positive_groups": 1.0}, "unknown"),
        ({"m": math.nan}, "unknown"),
        ({"m_low": math.inf}, "unknown"),
        ({"baseline_m": math.nan}, "unknown"),
    ],
)
def test_higher_means_the_low_end_lies_above_the_baseline_and_its_margin(
    figures: dict[str, float], expected: str
) -> None:
    """On the bar is not above it; the other end of the interval does not matter; the evidence asked for is enough."""
    assert outcome(UP, **figures) == expected


@pytest.mark.parametrize(
    ("figures", "expected"),
    [
        ({"m_high": 3.0}, "fail"),
        ({"m_high": 2.9999}, "pass"),
        ({"baseline_m": 2.0, "m_high": 1.5}, "fail"),
        ({"m_low": 99.0}, "pass"),
        ({"test_positive_groups": 0.0}, "pass"),
        ({"m_high": math.nan}, "unknown"),
    ],
)
def test_lower_means_the_high_end_lies_below_a_share_of_the_baseline(figures: dict[str, float], expected: str) -> None:
    """A margin of a quarter asks for three quarters of the baseline's error."""
    assert outcome(DOWN, **figures) == expected


def test_too_little_evidence_says_of_what() -> None:
    """Both counts and what each should be, even where the figures themselves are absent."""
    detail = judge(GatePolicy(**UP), {"test_groups": 3.0}).detail  # type: ignore[arg-type]

    assert detail == "too little evidence: 3 assets held out, 5 needed; 0 of them with positives, 2 needed"


def test_a_verdict_shows_the_figures_it_rests_on() -> None:
    """The figure, the end that decides, the bar and the baseline."""
    figures = {"m": 8.0, "m_low": 7.0, "baseline_m": 4.0, "test_groups": 5.0, "test_positive_groups": 2.0}

    detail = judge(GatePolicy(**UP), figures).detail  # type: ignore[arg-type]

    assert detail == "m 8, 5 % end 7, must be above 4.25 (baseline 4)"


@pytest.mark.parametrize("changes", [{"better": "hihger"}, {"better": ""}, {"margin": -0.1}, {"margin": math.nan}])
def test_a_gate_that_would_pass_the_wrong_versions_is_refused(changes: dict[str, Any]) -> None:
    """A misspelt direction is not taken for the other one."""
    with pytest.raises(DefinitionError, match="cannot judge") as caught:
        GatePolicy(**{**UP, **changes})

    assert "higher" in caught.value.fix


@pytest.mark.parametrize(
    ("labels", "scores", "expected"),
    [
        ([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8], 5 / 6),  # the example of scikit-learn's average_precision_score
        ([1, 0], [0.9, 0.1], 1.0),
        ([0, 1], [0.9, 0.1], 0.5),
        ([1, 0, 1, 0], [0.5, 0.5, 0.5, 0.5], 0.5),
        ([1, 1, 0], [0.2, 0.2, 0.9], 2 / 3),
    ],
)
def test_average_precision_of_small_rankings(labels: list[int], scores: list[float], expected: float) -> None:
    """Worked out by hand; rows of one score share one step, whatever their order."""
    found = average_precision(np.array(labels, float), np.array(scores))
    turned = average_precision(np.array(labels[::-1], float), np.array(scores[::-1]))

    assert found == turned == pytest.approx(expected, abs=1e-12)


@settings(max_examples=60, deadline=None)
@given(
    labels=st.lists(st.booleans(), min_size=1, max_size=25).filter(any),
    data=st.data(),
)
def test_average_precision_lies_between_the_worst_ranking_and_one(labels: list[bool], data: st.DataObject) -> None:
    """It depends on the order of scores alone: stretched or shifted they give the same figure."""
    scores = np.array(data.draw(st.lists(st.integers(0, 9), min_size=len(labels), max_size=len(labels))), float)
    truth = np.array(labels, float)

    found = average_precision(truth, scores)

    assert 0 < found <= 1 + 1e-12
    assert found == pytest.approx(average_precision(truth, 3 * scores - 40), abs=1e-12)
    assert average_precision(truth, truth) == 1.0


def figures(task: str = "regression", **changes: Any) -> dict[str, float]:
    """Return the figures of six held-out rows of three assets."""
    plain: dict[str, Any] = {
        "train_labels": np.array([1.0, 3.0]),
        "labels": np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0]),
        "scores": np.array([1.0, 2.0, 3.0, 4.0, 5.0, 9.0]),
        "groups": np.array(["a", "a", "b", "b", "c", "c"]),
        "seed": 3,
    }
    return evaluate(task, **{**plain, **changes})


def test_regression_is_judged_beside_the_mean_of_the_training_rows() -> None:
    """Root mean squared and mean absolute error by hand; the baseline says 2 for every row."""
    found = figures()

    assert found["rmse"] == pytest.approx(math.sqrt(9 / 6))
    assert found["mae"] == pytest.approx(0.5)
    assert found["baseline_rmse"] == pytest.approx(math.sqrt((1 + 0 + 1 + 4 + 9 + 16) / 6))
    assert (found["train_rows"], found["test_rows"], found["test_groups"]) == (2, 6, 3)
    assert "test_positives" not in found


def test_classification_counts_its_positives_and_the_assets_that_have_them() -> None:
    """Four positives on two assets: evidence is counted in assets."""
    labels = np.array([1.0, 1.0, 1.0, 0.0, 0.0, 0.0])

    found = figures("binary", labels=labels)

    assert (found["test_positives"], found["test_positive_groups"], found["baseline_pr_auc"]) == (3, 2, 0.5)
    assert "mae" not in found


def test_the_interval_resamples_whole_assets() -> None:
    """Errors that lie on one asset of three make it wide; the same seed gives the same; equal assets give a point."""
    found, again, other = figures(), figures(), figures(seed=4)
    equal = figures(scores=np.array([2.0, 3.0, 4.0, 5.0, 6.0, 7.0]))

    assert found == again
    assert found["rmse_low"] == 0.0
    assert found["rmse_high"] >= math.sqrt(9 / 6)
    assert (equal["rmse_low"], equal["rmse"], equal["rmse_high"]) == (1.0, 1.0, 1.0)
    assert set(other) == set(found)


def test_a_figure_undefined_in_every_resample_has_no_interval() -> None:
    """Without positives nothing is known, which is told as NaN."""
    found = figures("binary", labels=np.zeros(6))

    assert math.isnan(found["pr_auc_low"])
    assert math.isnan(found["pr_auc_high"])
    assert rmse(np.array([1.0, 2.0]), np.array([1.0, 2.0])) == 0.0
