"""Experiments in the registry: one at a time, between who is said to hold the slots, sealed as they began and ended."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from lineshaft.errors import ConflictError, InputError, NotFoundError
from lineshaft.registry.audit import faults
from lineshaft.registry.models import ModelRegistry
from lineshaft.registry.records import Candidate, Experiment, Slot, Verdict

WHY: dict[str, Any] = {"actor": "ben", "reason": "the new one sees more"}
WANTED = Experiment(
    model="rul",
    environment="prod",
    champion=1,
    challenger=2,
    unit="asset",
    salt="spring",
    weight_bp=2_500,
    metric="brier",
    effect=0.02,
    alpha=0.05,
    min_assets=20,
    started_us=7,
)


@pytest.fixture
def two(registry: ModelRegistry, candidate: Candidate) -> ModelRegistry:
    """Return a registry with a champion and a challenger."""
    for number, slot in ((1, Slot.CHAMPION), (2, Slot.CHALLENGER)):
        registry.register(candidate, actor="ana")
        registry.judge("rul", number, Verdict(gate="bar", outcome="pass", detail=""), actor="gate")
        registry.promote("rul", number, environment="prod", **WHY, slot=slot)
    return registry


def test_an_experiment_begins_and_ends_in_the_history(two: ModelRegistry) -> None:
    """Servers are told of both, the history holds both, and what is read is what was written."""
    before = two.generation("prod")

    two.experiments.start(WANTED, **WHY)
    assert two.experiments.running("rul", "prod") == WANTED
    assert two.experiments.running("rul", "test") is None
    begun, ended = two.experiments.end("rul", "prod", verdict="challenger", detail="0.1 less", **WHY)

    assert two.experiments.running("rul", "prod") is None
    assert (begun, ended.verdict, ended.salt) == (WANTED, "challenger", "spring")
    assert two.experiments.all_of("rul") == [(WANTED, ended)]
    assert two.generation("prod") == before + 2
    assert [(line.action, line.number, line.after) for line in two.history("rul")][-2:] == [
        ("experiment", 2, "prod:2500 bp of assets"),
        ("conclude", 2, "challenger"),
    ]
    assert faults(two.account("rul")) == []


def test_one_runs_at_a_time(two: ModelRegistry) -> None:
    """A second is refused while one runs; after it another salt may."""
    two.experiments.start(WANTED, **WHY)
    with pytest.raises(ConflictError, match="an experiment on 'rul' runs"):
        two.experiments.start(replace(WANTED, salt="autumn"), **WHY)

    two.experiments.end("rul", "prod", verdict="undecided", detail="", **WHY)
    two.experiments.start(replace(WANTED, salt="autumn"), **WHY)

    assert [one.salt for one, _ in two.experiments.all_of("rul")] == ["spring", "autumn"]


@pytest.mark.parametrize("change", [{"champion": 2}, {"challenger": 1}, {"environment": "test"}])
def test_it_is_between_who_holds_the_slots(two: ModelRegistry, change: dict[str, Any]) -> None:
    """Whoever believes in another champion or challenger starts nothing."""
    with pytest.raises(ConflictError, match="is not the ch"):
        two.experiments.start(replace(WANTED, **change), **WHY)
    assert two.experiments.all_of("rul") == []


@pytest.mark.parametrize("weight_bp", [0, 10_000, -1])
def test_both_arms_have_assets(two: ModelRegistry, weight_bp: int) -> None:
    """Nothing and everything are no share."""
    with pytest.raises(InputError, match="leaves an arm empty"):
        two.experiments.start(replace(WANTED, weight_bp=weight_bp), **WHY)


def test_what_does_not_run_does_not_end(two: ModelRegistry) -> None:
    """The error says where to look."""
    with pytest.raises(NotFoundError, match="no experiment on 'rul' runs"):
        two.experiments.end("rul", "prod", verdict="champion", detail="", **WHY)


def test_another_verdict_than_was_given_is_found(two: ModelRegistry) -> None:
    """The record of an end, its salt, or of a start's share: each is sealed, and so is its number."""
    two.experiments.start(WANTED, **WHY)
    two.experiments.end("rul", "prod", verdict="champion", detail="", **WHY)
    account = two.account("rul")
    ((number, begun),), ((_, ended),) = account.experiments, account.conclusions

    for forged in (
        replace(account, conclusions=[(number, replace(ended, verdict="challenger"))]),
        replace(account, experiments=[(number, replace(begun, weight_bp=9_000))]),
        replace(account, experiments=[]),
        replace(account, conclusions=[]),
    ):
        assert faults(forged)
