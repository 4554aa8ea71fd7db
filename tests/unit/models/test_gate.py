"""The gate: near ends of intervals, margins in the right direction, and evidence enough."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lineshaft.errors import DefinitionError
from lineshaft.models.gate import GatePolicy, judge
from lineshaft.models.scores import evaluate

HIGHER = GatePolicy(name="g", metric="pr_auc", better="higher", margin=0.1, min_groups=5, min_positive_groups=3)
LOWER = GatePolicy(name="g", metric="rmse", better="lower", margin=0.1, min_groups=5)
BINARY = {"pr_auc": 0.8, "pr_auc_low": 0.7, "baseline_pr_auc": 0.1, "test_groups": 5.0, "test_positive_groups": 3.0}
REGRESSION = {"rmse": 9.0, "rmse_high": 10.0, "baseline_rmse": 40.0, "test_groups": 5.0}


@pytest.mark.parametrize(
    ("low", "outcome"), [(0.2, "fail"), (math.nextafter(0.2, 1), "pass"), (0.19, "fail"), (1.0, "pass")]
)
def test_a_score_that_should_be_high_must_beat_baseline_plus_margin(low: float, outcome: str) -> None:
    """The low end of the interval decides, and reaching the bar is not beating it."""
    assert judge(HIGHER, {**BINARY, "pr_auc_low": low}).outcome == outcome


@pytest.mark.parametrize(("high", "outcome"), [(36.0, "fail"), (35.999, "pass"), (36.1, "fail"), (0.0, "pass")])
def test_an_error_that_should_be_low_must_be_a_share_below_the_baseline(high: float, outcome: str) -> None:
    """The margin of an error is a part of it, and the high end decides."""
    assert judge(LOWER, {**REGRESSION, "rmse_high": high}).outcome == outcome


def test_the_other_end_of_the_interval_does_not_count() -> None:
    """A high score with a wide interval is not a high score; the far ends are not looked at."""
    wide = {**BINARY, "pr_auc_low": 0.1, "pr_auc_high": 1.0}
    narrow = {**REGRESSION, "rmse_low": math.nan}

    assert judge(HIGHER, wide).outcome == "fail"
    assert judge(LOWER, narrow).outcome == "pass"


@pytest.mark.parametrize("name", ["pr_auc", "pr_auc_low", "baseline_pr_auc"])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, None])
def test_an_undefined_figure_is_unknown(name: str, value: float | None) -> None:
    """Not finite, or not there at all: nothing is decided, and the detail says why."""
    figures = {key: entry for key, entry in BINARY.items() if key != name}

    judged = judge(HIGHER, figures if value is None else {**figures, name: value})

    assert judged.outcome == "unknown"
    assert judged.detail == "pr_auc or its baseline is undefined on the held-out rows"


@pytest.mark.parametrize(
    ("changes", "detail"),
    [
        ({"test_groups": 4.0}, "too little evidence: 4 assets held out, 5 needed"),
        ({"test_positive_groups": 2.0}, "too little evidence: 2 of them with positives, 3 needed"),
        (
            {"test_groups": 1.0, "test_positive_groups": 0.0},
            "too little evidence: 1 assets held out, 5 needed; 0 of them with positives, 3 needed",
        ),
    ],
)
def test_too_little_evidence_is_counted(changes: dict[str, float], detail: str) -> None:
    """Every count that is short is named with what is needed, whatever the score is."""
    judged = judge(HIGHER, {**BINARY, **changes})

    assert (judged.outcome, judged.detail) == ("unknown", detail)


def test_no_figures_are_no_evidence() -> None:
    """Counts that are not there are none."""
    assert judge(HIGHER, {}).detail.startswith("too little evidence: 0 assets held out, 5 needed; 0 of them")
    assert judge(replace(LOWER, min_groups=1), {}).detail == "too little evidence: 0 assets held out, 1 needed"
    assert judge(replace(LOWER, min_groups=0), {}).detail.startswith("rmse or its baseline is undefined")


def test_the_detail_is_what_the_judgement_rests_on() -> None:
    """Figure, end, bar and baseline, in the words of the direction."""
    assert judge(HIGHER, BINARY).detail == "pr_auc 0.8, 5 % end 0.7, must be above 0.2 (baseline 0.1)"
    assert judge(LOWER, REGRESSION).detail == "rmse 9, 95 % end 10, must be below 36 (baseline 40)"


@given(
    low=st.floats(0, 1),
    base=st.floats(0, 1),
    margin=st.floats(0, 1),
    groups=st.integers(0, 10),
    least=st.integers(0, 10),
)
def test_a_pass_always_shows_what_it_claims(low: float, base: float, margin: float, groups: int, least: int) -> None:
    """Whatever the figures: passed means above the bar and on evidence enough; more of either never unmakes a pass."""
    policy = replace(HIGHER, margin=margin, min_groups=least, min_positive_groups=0)
    figures = {"pr_auc": low, "pr_auc_low": low, "baseline_pr_auc": base, "test_groups": float(groups)}

    passed = judge(policy, figures).outcome == "pass"

    assert passed == (low > base + margin and groups >= least)
    if passed:
        assert judge(policy, {**figures, "pr_auc_low": low + 1, "test_groups": groups + 1.0}).outcome == "pass"


@pytest.mark.parametrize(
    "policy", [{"better": "hihger"}, {"better": ""}, {"margin": -0.1}, {"margin": math.nan}, {"margin": math.inf}]
)
def test_a_gate_that_would_pass_the_wrong_versions_is_refused(policy: dict[str, Any]) -> None:
    """A misspelt direction is not taken for the other one, and a margin is a number of 0 or more."""
    with pytest.raises(DefinitionError, match="cannot judge") as caught:
        replace(HIGHER, **policy)

    assert "higher" in caught.value.fix


def test_a_figure_undefined_in_every_resample_is_unknown() -> None:
    """Without positives nothing is known of precision, and the gate says so."""
    figures = evaluate(
        "binary",
        train_labels=np.array([0.0, 1.0]),
        labels=np.zeros(6),
        scores=np.arange(6.0),
        groups=np.array(list("aabbcc")),
        seed=3,
    )

    assert math.isnan(figures["pr_auc_low"])
    assert judge(replace(HIGHER, min_groups=1, min_positive_groups=0), figures).outcome == "unknown"
