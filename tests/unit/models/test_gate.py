"""The gate: near ends of intervals, margins in the right direction, evidence enough, and unknown between."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lineshaft.errors import DefinitionError
from lineshaft.models.gate import Gate, Policy, judge, judge_all
from lineshaft.models.scores import evaluate, evidence_of
from lineshaft.specs import Evidence, Figure

HIGHER = Gate(name="g", metric="pr_auc", op=">", vs="baseline", margin=0.1, min_groups=5, min_positive_groups=3)
LOWER = Gate(name="g", metric="rmse", op="<", vs="baseline", margin=0.1, min_groups=5)
LEVEL = Gate(name="level", metric="pr_auc", op=">", value=0.92)
PR_AUC = Figure(value=0.8, low=0.7, high=0.9, baseline=0.1)
RMSE = Figure(value=9.0, low=8.0, high=10.0, baseline=40.0)


def shown(figure: Figure, **changes: Any) -> list[Evidence]:
    """Return evidence of one figure, of five assets of which three have positives unless said otherwise."""
    name = "pr_auc" if figure.baseline is not None and figure.baseline <= 1 else "rmse"
    counts = {"n": 50, "groups": 5, "n_pos": 9, "pos_groups": 3} | changes
    return [Evidence(rows="e", figures={name: figure}, **counts)]


@pytest.mark.parametrize(
    ("low", "outcome"), [(0.2, "unknown"), (math.nextafter(0.2, 1), "pass"), (0.19, "unknown"), (1.0, "pass")]
)
def test_a_score_that_should_be_high_must_beat_baseline_plus_margin(low: float, outcome: str) -> None:
    """The low end of the interval decides, and reaching the bar is not beating it."""
    assert judge(HIGHER, shown(replace(PR_AUC, low=low))).outcome == outcome


@pytest.mark.parametrize(("high", "outcome"), [(36.0, "unknown"), (35.999, "pass"), (36.1, "unknown"), (0.0, "pass")])
def test_an_error_that_should_be_low_must_be_a_share_below_the_baseline(high: float, outcome: str) -> None:
    """The margin of an error is a part of it, and the high end decides."""
    assert judge(LOWER, shown(replace(RMSE, high=high))).outcome == outcome


@pytest.mark.parametrize(("op", "outcome"), [(">", "unknown"), (">=", "pass")])
def test_reaching_a_bar_is_enough_where_the_policy_says_so(op: str, outcome: str) -> None:
    """At least and above are two words."""
    assert judge(replace(HIGHER, op=op), shown(replace(PR_AUC, low=0.2))).outcome == outcome


def test_what_is_shown_to_be_worse_fails_and_what_is_not_shown_is_unknown() -> None:
    """An interval that holds the bar refutes nothing; one that lies before it does."""
    undecided = judge(HIGHER, shown(Figure(value=0.15, low=0.1, high=0.3, baseline=0.1)))
    refuted = judge(HIGHER, shown(Figure(value=0.15, low=0.1, high=0.2, baseline=0.1)))

    assert (undecided.outcome, refuted.outcome) == ("unknown", "fail")
    assert undecided.detail.endswith("the interval reaches to 0.3: neither shown nor refuted")
    assert judge(LOWER, shown(replace(RMSE, low=36.0, high=50.0))).outcome == "fail"
    assert judge(replace(HIGHER, use="value"), shown(replace(PR_AUC, value=0.15))).outcome == "fail"
    assert judge(HIGHER, shown(Figure(value=0.15, low=0.1, baseline=0.1))).outcome == "fail"


def test_five_failures_cannot_prove_a_pr_auc_above_092() -> None:
    """Too few positives, and without that rule the interval itself: resampling never sees what was never missed."""
    perfect = Figure(value=1.0, low=1.0, high=1.0, baseline=0.1)

    counted = judge(replace(LEVEL, min_positive_groups=20), shown(perfect, pos_groups=5, groups=40))
    bounded = judge(LEVEL, shown(perfect, pos_groups=5, groups=40))

    assert (counted.outcome, counted.detail) == (
        "unknown",
        "too little evidence: 5 of them with positives, 20 needed",
    )
    assert bounded.outcome == "unknown"
    assert "5 % end 0.5493, must be above 0.92; 5 assets can show no more than 0.5493" in bounded.detail
    assert [judge(LEVEL, shown(perfect, pos_groups=n)).outcome for n in (35, 36, 37)] == ["unknown", "pass", "pass"]
    assert judge(LEVEL, shown(replace(perfect, low=0.5, high=0.9), pos_groups=5)).outcome == "fail"


@pytest.mark.parametrize("name", ["value", "low", "baseline"])
def test_an_undefined_figure_is_unknown(name: str) -> None:
    """Nothing is decided, and the detail says why."""
    judged = judge(HIGHER, [replace(shown(PR_AUC)[0], figures={"pr_auc": replace(PR_AUC, **{name: None})})])

    assert judged.outcome == "unknown"
    assert judged.detail == "pr_auc or its baseline is undefined on the held-out rows"


@pytest.mark.parametrize(
    ("counts", "detail"),
    [
        ({"groups": 4}, "too little evidence: 4 assets held out, 5 needed"),
        ({"pos_groups": 2}, "too little evidence: 2 of them with positives, 3 needed"),
        ({"n_pos": 7}, "too little evidence: 7 rows with positives, 8 needed"),
        (
            {"groups": 1, "pos_groups": None},
            "too little evidence: 1 assets held out, 5 needed; 0 of them with positives, 3 needed",
        ),
    ],
)
def test_too_little_evidence_is_counted(counts: dict[str, int], detail: str) -> None:
    """Every count that is short is named with what is needed, whatever the score is."""
    judged = judge(replace(HIGHER, min_positives=8), shown(PR_AUC, **counts))

    assert (judged.outcome, judged.detail) == ("unknown", detail)


def test_no_figures_are_no_evidence() -> None:
    """What nobody measured is unknown, whatever else is known."""
    assert judge(HIGHER, []).detail == "nothing is known of pr_auc"
    assert judge(HIGHER, shown(RMSE)).outcome == "unknown"


def test_a_judgement_keeps_what_it_rests_on() -> None:
    """Figure, end, bar and baseline in words; the whole interval, the counts and the rows as they were."""
    judged = judge(HIGHER, shown(PR_AUC))

    assert judged.detail == "pr_auc 0.8, 5 % end 0.7, must be above 0.2 (baseline 0.1)"
    assert judge(LOWER, shown(RMSE)).detail == "rmse 9, 95 % end 10, must be below 36 (baseline 40)"
    assert judged.figures == {
        "metric": "pr_auc",
        "value": 0.8,
        "low": 0.7,
        "high": 0.9,
        "baseline": 0.1,
        "rows": "e",
        "against": "",
        "n": 50,
        "groups": 5,
        "n_pos": 9,
        "pos_groups": 3,
    }


def test_the_newest_evidence_of_a_figure_counts() -> None:
    """What was found later stands for what was found before, of the same figure alone."""
    old, new = shown(PR_AUC)[0], replace(shown(PR_AUC)[0], groups=4)

    assert judge(HIGHER, [new, old]).outcome == "pass"
    assert judge(HIGHER, [old, new]).outcome == "unknown"
    assert judge(HIGHER, [old, *shown(RMSE)]).outcome == "pass"


BESIDE = Gate(name="no_worse", metric="pr_auc", op=">=", vs="champion", margin=-0.02, min_groups=4)


@pytest.mark.parametrize(
    ("gain", "outcome"),
    [
        (Figure(value=0.01, low=-0.02, high=0.04, baseline=0.7), "pass"),
        (Figure(value=0.01, low=-0.03, high=0.04, baseline=0.7), "unknown"),
        (Figure(value=-0.1, low=-0.2, high=-0.021, baseline=0.7), "fail"),
    ],
)
def test_a_version_may_be_worse_than_the_champion_by_the_margin_alone(gain: Figure, outcome: str) -> None:
    """The low end of what it gains decides, on the rows of both; the same words for errors, by shares."""
    beside = [Evidence(rows="e", n=9, groups=4, figures={"pr_auc": gain, "rmse": gain}, against="m@3")]
    errors = replace(BESIDE, metric="rmse", op="<=")

    assert judge(BESIDE, beside, champion="m@3").outcome == outcome
    assert judge(errors, beside, champion="m@3").outcome == outcome
    assert "better than m@3" in judge(BESIDE, beside, champion="m@3").detail


def test_beside_another_champion_nothing_is_known() -> None:
    """What it gained over the last one says nothing; the first version has nobody to be worse than."""
    beside = Evidence(rows="e", n=9, groups=4, figures={"pr_auc": PR_AUC}, against="m@3")
    failed = Evidence(rows="e", n=0, groups=0, against="m@4", why_not="m@4 learned from every asset")
    ask = {"task": "binary", "ref": "m@5"}
    policy = Policy(name="p", gates=(BESIDE,))

    assert judge(BESIDE, [beside], champion="m@4").detail == "nothing is known of pr_auc beside m@4: train again"
    assert judge(BESIDE, [beside, failed], champion="m@4").detail == "m@4 learned from every asset"
    assert judge_all(policy, [beside], champion="m@4", **ask).outcome == "unknown"
    assert judge_all(policy, [], champion="", **ask).outcome == "pass"
    assert judge_all(policy, [], champion="m@5", **ask).outcome == "pass"


def test_every_gate_must_pass_and_a_policy_that_asks_nothing_is_an_error() -> None:
    """The worst outcome is the version's; gates of other tasks are not asked."""
    easy, hard, rul = HIGHER, replace(LEVEL, name="hard"), replace(LOWER, tasks=("rul",))

    both = judge_all(Policy(name="p", gates=(easy, hard, rul)), shown(PR_AUC), task="binary")
    none = judge_all(Policy(name="p", gates=(rul,)), shown(PR_AUC), task="binary")

    assert [(one.gate, one.outcome) for one in both.gates] == [("g", "pass"), ("hard", "fail")]
    assert both.outcome == "fail"
    assert both.detail.startswith("hard fail: pr_auc 0.8")
    assert (none.outcome, none.detail) == ("error", "p error: policy 'p' has no gate for a binary model")


@given(
    low=st.floats(0, 1),
    base=st.floats(0, 1),
    margin=st.floats(0, 1),
    groups=st.integers(0, 10),
    least=st.integers(0, 10),
)
def test_a_pass_always_shows_what_it_claims(low: float, base: float, margin: float, groups: int, least: int) -> None:
    """Whatever the figures: passed means above the bar and on evidence enough; more of either never unmakes a pass."""
    gate = replace(HIGHER, margin=margin, min_groups=least, min_positive_groups=0)
    figure = Figure(value=low, low=low, high=1.0, baseline=base)

    passed = judge(gate, shown(figure, groups=groups)).outcome == "pass"

    assert passed == (low > base + margin and groups >= least)
    if passed:
        assert judge(gate, shown(replace(figure, low=low + 1), groups=groups + 1)).outcome == "pass"


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"op": "=>"}, "is no comparison"),
        ({"vs": "yesterday"}, "is no comparison"),
        ({"metric": "pr_auk"}, "no figure is called 'pr_auk'"),
        ({"value": 0.9}, "a gate has one bar"),
        ({"vs": ""}, "a gate has one bar"),
        ({"vs": "", "margin": 0.0, "value": math.nan}, "value nan asks for nothing"),
        ({"vs": "", "margin": 0.0, "value": -math.inf}, "value -inf asks for nothing"),
        ({"op": "<"}, "pr_auc is better above its baseline"),
        ({"metric": "rmse"}, "rmse is better below its baseline"),
        ({"margin": -0.1}, "asks for nothing"),
        ({"margin": math.nan}, "asks for nothing"),
        ({"margin": math.inf}, "asks for nothing"),
        ({"use": "high"}, "an interval that is wide enough would pass"),
    ],
)
def test_a_gate_that_would_pass_the_wrong_versions_is_refused(changes: dict[str, Any], what: str) -> None:
    """A misspelt direction is not taken for the other one, and every fault says what to write."""
    with pytest.raises(DefinitionError, match="cannot judge") as caught:
        replace(HIGHER, **changes)

    assert what in caught.value.what
    assert caught.value.fix


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

    found = evidence_of(figures)

    assert math.isnan(figures["pr_auc_low"])
    assert (found.n, found.groups, found.n_pos, found.figures["pr_auc"].low) == (6, 3, 0, None)
    assert judge(replace(HIGHER, min_groups=1, min_positive_groups=0), [found]).outcome == "unknown"
