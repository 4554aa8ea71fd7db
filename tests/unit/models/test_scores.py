"""Figures of merit: equal to their definitions, with intervals over whole assets."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lineshaft.models.scores import METRICS, average_precision, evaluate, half_width, nasa_score, phm_score, rmse

GROUPS = np.array(list("aabbccddee"))
LABELS = np.array([0.0, 1, 0, 0, 1, 1, 0, 0, 0, 0])
SCORES = np.array([0.1, 0.9, 0.2, 0.3, 0.8, 0.7, 0.1, 0.2, 0.6, 0.1])


def figures(task: str, **changes: object) -> dict[str, float]:
    """Evaluate the scores above, with changes."""
    given_: dict[str, object] = {
        "train_labels": LABELS,
        "labels": LABELS,
        "scores": SCORES,
        "groups": GROUPS,
        "seed": 3,
    }
    return evaluate(task, **(given_ | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("labels", "scores", "expected"),
    [
        ([1, 0], [0.9, 0.1], 1.0),
        ([1, 0], [0.1, 0.9], 0.5),
        ([1, 0, 0, 0], [0.5, 0.5, 0.5, 0.5], 0.25),
        ([1, 1, 1], [0.1, 0.2, 0.3], 1.0),
        ([0, 1, 0, 1], [0.9, 0.8, 0.7, 0.6], 0.5),
    ],
    ids=["perfect", "inverted", "all tied", "all positive", "every other"],
)
def test_average_precision_of_known_rankings(labels: list[int], scores: list[float], expected: float) -> None:
    """Figures that can be worked out by hand."""
    assert average_precision(np.array(labels, float), np.array(scores)) == pytest.approx(expected, abs=1e-15)


ranked = st.lists(st.tuples(st.booleans(), st.integers(0, 5)), min_size=1, max_size=30)


@given(ranked)
def test_precision_depends_on_the_ranking_alone(rows: list[tuple[bool, int]]) -> None:
    """Neither the order of rows nor the scale of scores counts; the figure is a share."""
    labels, scores = np.array([float(one) for one, _ in rows]), np.array([float(score) for _, score in rows])
    if not labels.any():
        assert math.isnan(average_precision(labels, scores))
        return
    found = average_precision(labels, scores)
    order = np.random.default_rng(len(rows)).permutation(len(rows))

    assert 0 < found <= 1 + 1e-12
    assert average_precision(labels[order], scores[order]) == pytest.approx(found, abs=1e-12)
    assert average_precision(labels, np.exp(scores / 3) - 7) == pytest.approx(found, abs=1e-12)


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=20), st.floats(-1e3, 1e3))
def test_a_constant_error_is_its_root_mean_square(labels: list[float], offset: float) -> None:
    """Off by the same everywhere, the error is that, whatever its sign."""
    truth = np.array(labels)

    assert rmse(truth, truth + offset) == pytest.approx(abs(offset), rel=1e-6, abs=1e-9)


def test_each_task_has_its_figure() -> None:
    """Precision and recall of a probability, the error of a quantity, the order of lives, a detector's false alarms."""
    assert {task: name for task, (name, _) in METRICS.items()} == {
        "anomaly": "false_alarm_share",
        "binary": "pr_auc",
        "regression": "rmse",
        "rul": "rmse",
        "survival": "c_index",
    }


def test_a_binary_task_counts_its_positives() -> None:
    """Rows, assets, positives, and assets with positives among those held out."""
    found = figures("binary", train_labels=np.array([0.0, 1, 1, 1]))

    assert found["pr_auc"] == 1.0
    assert found["baseline_pr_auc"] == pytest.approx(0.3)
    assert (found["train_rows"], found["test_rows"], found["test_groups"]) == (4, 10, 5)
    assert (found["test_positives"], found["test_positive_groups"]) == (3, 2)
    assert "mae" not in found


def test_a_regression_is_held_against_the_mean_it_was_trained_on() -> None:
    """The baseline knows the training rows' mean, not that of the rows it is judged on."""
    labels, scores = np.array([1.0, 3.0]), np.array([2.0, 6.0])

    found = figures(
        "regression", train_labels=np.array([7.0]), labels=labels, scores=scores, groups=np.array(["a", "b"])
    )

    assert found["rmse"] == pytest.approx(math.sqrt(5.0))
    assert found["baseline_rmse"] == pytest.approx(math.sqrt((36 + 16) / 2))
    assert found["mae"] == 2.0
    assert "test_positives" not in found


def test_an_interval_follows_from_its_seed() -> None:
    """The same seed draws the same assets, another seed others."""
    ends = [(found["rmse_low"], found["rmse_high"]) for found in (figures("regression", seed=n) for n in (3, 3, 4, 5))]

    assert ends[0] == ends[1]
    assert len(set(ends)) > 1


def test_an_interval_is_over_assets_not_rows() -> None:
    """A hundred copies of a row of each asset are no more evidence than one."""
    one = figures("regression")
    many = figures(
        "regression", labels=np.repeat(LABELS, 100), scores=np.repeat(SCORES, 100), groups=np.repeat(GROUPS, 100)
    )

    assert many["rmse_low"] == pytest.approx(one["rmse_low"])
    assert many["rmse_high"] == pytest.approx(one["rmse_high"])
    assert one["rmse_low"] < one["rmse"] < one["rmse_high"]


def test_one_asset_has_no_width() -> None:
    """Drawing the only asset again gives the same figure."""
    found = figures("regression", groups=np.array(["a"] * 10))

    assert found["rmse_low"] == found["rmse"] == found["rmse_high"]


def test_an_interval_leaves_out_the_ends() -> None:
    """One asset in ten is off by 10: drawn thrice it is rare, drawn never it is usual; 5 % and 95 % say so."""
    errors = np.array([10.0] + [0.0] * 9)
    found = figures("regression", labels=np.zeros(10), scores=errors, groups=np.array(list("abcdefghij")))

    drawn = [math.sqrt(10 * times) for times in range(11)]
    assert found["rmse_low"] == 0.0
    assert drawn[2] <= found["rmse_high"] <= drawn[4]


def test_a_life_overestimated_costs_more_than_one_underestimated() -> None:
    """Ten cycles late are e - 1 by NASA's score, thirteen early too; the PHM score halves at 5 % late or 20 % early."""
    left = np.array([100.0])

    assert nasa_score(left, left + 10) == pytest.approx(math.e - 1)
    assert nasa_score(left, left - 13) == pytest.approx(math.e - 1)
    assert nasa_score(np.repeat(left, 3), np.repeat(left + 10, 3)) == pytest.approx(3 * (math.e - 1))
    assert phm_score(left, left + 5) == pytest.approx(0.5)
    assert phm_score(left, left - 20) == pytest.approx(0.5)
    assert phm_score(left, left) == 1.0


def test_a_row_without_life_left_has_no_relative_error() -> None:
    """It is not counted; where there are no others, nothing is known."""
    assert phm_score(np.array([0.0, 100.0]), np.array([9.0, 100.0])) == 1.0
    assert math.isnan(phm_score(np.array([0.0]), np.array([0.0])))


def test_a_remaining_life_is_judged_by_three_scores() -> None:
    """Its error, NASA's score a row, and the PHM score; a regression of anything else has no such scores."""
    labels, scores = np.array([50.0, 100.0]), np.array([60.0, 80.0])
    found = figures("rul", labels=labels, scores=scores, groups=np.array(["a", "b"]))

    assert found["nasa_score_per_row"] == pytest.approx(nasa_score(labels, scores) / 2)
    assert found["phm_score"] == pytest.approx((1 / 16 + 1 / 2) / 2)
    assert found["rmse"] == pytest.approx(math.sqrt((100 + 400) / 2))
    assert "phm_score" not in figures("regression")


def test_the_width_of_an_interval_holds_for_the_next_group() -> None:
    """Over many draws of engines that err each in its own way, the truth of one more is inside as often as is said."""
    generator = np.random.default_rng(11)
    inside = []
    for _ in range(400):
        own = generator.normal(size=(31, 1)) + 0.3 * generator.normal(size=(31, 8))
        width = half_width(own[:30].ravel(), np.repeat(np.arange(30), 8).astype(str), coverage=0.9)
        inside.append(abs(own[30, 0]) <= width)
    assert 0.87 <= np.mean(inside) <= 0.95


def test_a_group_with_many_rows_weighs_no_more_than_another() -> None:
    """A hundred small errors of one engine do not hide what nine others say."""
    errors = np.concatenate([np.full(100, 0.1), np.arange(1.0, 10.0)])
    groups = np.array(["long"] * 100 + [f"e{i}" for i in range(9)])

    assert half_width(errors, groups, coverage=0.9) == 9.0
    assert half_width(errors, groups, coverage=0.5) == 5.0
    assert half_width(errors, groups, coverage=0.95) == math.inf
