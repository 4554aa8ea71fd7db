"""Promotions by many at once, and by those killed at it: none that was told is lost, and one champion is left."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from lineshaft.registry.audit import faults
from lineshaft.registry.models import ModelRegistry
from lineshaft.registry.records import Candidate, Verdict

pytestmark = [pytest.mark.heavy, pytest.mark.timeout(1800)]
EDITS = int(os.environ.get("PROMOTION_EDITS", "1000"))  # noqa: TID251  the length of a run is no setting of the product
KILLS = int(os.environ.get("PROMOTION_KILLS", "50"))  # noqa: TID251


@pytest.fixture
def two(registry: ModelRegistry, candidate: Candidate) -> Iterator[ModelRegistry]:
    """Return a registry with two versions that passed, the first of them champion."""
    for _ in range(2):
        number = registry.register(candidate, actor="ana").number
        registry.judge("rul", number, Verdict(gate="bar", outcome="pass", detail=""), actor="gate")
    registry.promote("rul", 1, environment="prod", actor="ana", reason="first")
    yield registry
    registry.engine.dispose()


def told(registry: ModelRegistry, url: str, *words: str) -> tuple[list[str], str]:
    """Run promoters; return what they were told, and what they said of themselves."""
    arguments = [words[0], url, str(registry.artifacts.root), *words[1:]]
    script = Path(__file__).with_name("promoters.py")
    done = subprocess.run([sys.executable, script, *arguments], check=True, capture_output=True, text=True)
    return done.stdout.split(), done.stderr


def one_champion(registry: ModelRegistry) -> None:
    """Assert that the history is whole, all follows from it, and exactly one version is champion."""
    account = registry.account("rul")
    assert faults(account) == []
    assert len([one for one in account.assignments if one.valid_to_us is None]) == 1
    assert registry.generation("prod") == len(account.assignments)


def test_of_a_thousand_edits_by_four_processes_none_is_lost(two: ModelRegistry, database_url: str) -> None:
    """Each is in the history once, whoever was faster; and some were slower, or nothing was proven."""
    acknowledged, said = told(two, database_url, "race", str(EDITS), "4")

    kept = Counter(line.reason for line in two.history("rul") if line.reason.startswith("p"))
    assert kept == Counter(acknowledged)
    assert kept.total() == EDITS // 4 * 4
    assert set(kept.values()) == {1}
    assert sum(int(word) for word in said.split() if word.isdigit()) > 0
    one_champion(two)


def test_who_is_killed_at_a_promotion_loses_nothing_that_was_told(two: ModelRegistry, database_url: str) -> None:
    """What was told is there; what was not is there whole or not at all; the next one goes on from it."""
    acknowledged, _ = told(two, database_url, "kill", str(KILLS), "7")

    kept = Counter(line.reason for line in two.history("rul") if line.reason.startswith("k"))
    assert len(acknowledged) > KILLS
    assert set(acknowledged) <= set(kept)
    assert set(kept.values()) == {1}
    assert len(kept) - len(acknowledged) <= KILLS
    one_champion(two)
