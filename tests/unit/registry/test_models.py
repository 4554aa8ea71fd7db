"""What the model registry promises, on SQLite and on Postgres."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from typing import Any

import pytest
from sqlalchemy import insert, update
from sqlalchemy.exc import IntegrityError

from lineshaft.clock import ManualClock
from lineshaft.errors import ConflictError, CorruptError, InputError, NotFoundError
from lineshaft.registry.audit import faults
from lineshaft.registry.models import ModelRegistry
from lineshaft.registry.records import Provenance, State, Verdict, ViewPin
from lineshaft.registry.tables import ASSIGNMENT, TRANSITION, VERSION
from lineshaft.testing import small_candidate

CANDIDATE = small_candidate(
    model="bearing_failure",
    task="binary",
    service="bearing_failure",
    features=("vibration__rms", "vibration__kurtosis"),
    pins=(ViewPin(view="vibration", version="0123456789ab", table_version=4),),
    training_set="f" * 64,
    rows=120,
    artifact=b'{"trees": []}',
    params={"max_depth": 3},
    metrics={"pr_auc": 0.9},
    seed=7,
)
PASS = Verdict(gate="better_than_baseline", outcome="pass", detail="0.9 > 0.1")


def validated(registry: ModelRegistry, **changes: Any) -> int:
    """Register a version that passed its gate; return its number."""
    version = registry.register(replace(CANDIDATE, **changes), actor="ana")
    registry.judge(version.model, version.number, PASS, actor="gate")
    return version.number


def test_a_version_comes_back_as_registered(registry: ModelRegistry) -> None:
    """Every pin and figure of a candidate is read back unchanged, and its artifact is the same bytes."""
    version = registry.register(CANDIDATE, actor="ana")

    assert version.ref == "bearing_failure@1"
    assert (version.features, version.pins, version.training_set) == (
        CANDIDATE.features,
        CANDIDATE.pins,
        CANDIDATE.training_set,
    )
    assert (version.params, version.metrics, version.seed) == ({"max_depth": 3}, {"pr_auc": 0.9}, 7)
    assert registry.load(version) == CANDIDATE.artifact


def test_how_a_version_came_about_is_sealed_with_it(registry: ModelRegistry) -> None:
    """Provenance comes back as it was told, and a change of it is found; a version without any is none the worse."""
    told = Provenance(
        model_file="task: binary\n",
        catalog_generation=3,
        label_table="maintenance",
        label_sha256="a" * 64,
        moments_sha256="b" * 64,
        features_sha256="c" * 64,
        environment={"python": "3.11.2"},
        curve=((0.5, 1.0), (1.0, 0.5)),
    )
    registry.register(CANDIDATE, actor="ana")
    registry.register(replace(CANDIDATE, provenance=told), actor="ana")

    assert [registry.get("bearing_failure", number).provenance for number in (1, 2)] == [None, told]
    assert faults(registry.account("bearing_failure")) == []
    with registry.engine.begin() as connection:
        changed = update(VERSION).where(VERSION.c.number == 2)
        other = json.dumps({**asdict(told), "catalog_generation": 4})
        connection.execute(changed.values(provenance_json=other))
    assert faults(registry.account("bearing_failure")) == ["bearing_failure@2 is not as it was registered"]


def test_numbers_count_up(registry: ModelRegistry) -> None:
    """Each registration gets the next number of its model."""
    numbers = [registry.register(CANDIDATE, actor="ana").number for _ in range(3)]

    assert numbers == [1, 2, 3]
    assert [v.number for v in registry.versions("bearing_failure")] == [3, 2, 1]


def test_a_model_pins_views(registry: ModelRegistry) -> None:
    """A candidate without pins is refused: it could not be served the features it saw."""
    with pytest.raises(InputError, match="pins no feature view"):
        registry.register(replace(CANDIDATE, pins=()), actor="ana")


def test_a_model_does_not_change_its_task(registry: ModelRegistry) -> None:
    """One name means one kind of prediction."""
    registry.register(CANDIDATE, actor="ana")

    with pytest.raises(ConflictError, match="is binary, not regression"):
        registry.register(replace(CANDIDATE, task="regression"), actor="ana")


@pytest.mark.parametrize(("outcome", "state"), [("pass", "validated"), ("fail", "rejected"), ("unknown", "registered")])
def test_verdicts_move_versions(registry: ModelRegistry, outcome: str, state: str) -> None:
    """Pass validates, fail rejects, and unknown is not a pass."""
    registry.register(CANDIDATE, actor="ana")

    registry.judge("bearing_failure", 1, replace(PASS, outcome=outcome), actor="gate")

    assert registry.get("bearing_failure", 1).state == State(state)
    assert registry.verdicts("bearing_failure", 1)[0].outcome == outcome


def test_only_validated_versions_are_promoted(registry: ModelRegistry) -> None:
    """A version nobody judged cannot become champion."""
    registry.register(CANDIDATE, actor="ana")

    with pytest.raises(ConflictError, match="not validated"):
        registry.promote("bearing_failure", 1, environment="prod", actor="ana", reason="hope")


def test_what_ran_then_is_one_question(registry: ModelRegistry, clock: ManualClock) -> None:
    """The champion at any past time can be asked for, environment by environment."""
    first, second = validated(registry), validated(registry)
    for number in (first, second, first):
        clock.advance(seconds=10)
        registry.promote("bearing_failure", number, environment="prod", actor="ana", reason="try")

    champions = [registry.champion("bearing_failure", "prod", at_us=t * 1_000_000).number for t in (11, 20, 25, 31)]
    assert champions == [1, 1, 2, 1]
    with pytest.raises(NotFoundError, match="no champion in 'staging'"):
        registry.champion("bearing_failure", "staging")
    assert [(a.number, a.valid_to_us) for a in registry.assignments("bearing_failure")] == [
        (1, None),
        (2, 31_000_000),
        (1, 21_000_000),
    ]


def test_a_second_open_champion_is_refused_by_the_database(registry: ModelRegistry) -> None:
    """The index, not our code, guarantees one champion per model and environment."""
    number = validated(registry)
    row = {"model": "bearing_failure", "environment": "prod", "number": number, "valid_from_us": 1}

    with registry.engine.begin() as connection, pytest.raises(IntegrityError):
        connection.execute(insert(ASSIGNMENT), [row, row])


def test_a_stale_promotion_loses(registry: ModelRegistry) -> None:
    """Who decided on an older generation is told so, and nothing changes."""
    number = validated(registry)
    registry.promote("bearing_failure", number, environment="prod", actor="ana", reason="first")

    with pytest.raises(ConflictError, match="changed since you looked"):
        registry.promote("bearing_failure", number, environment="prod", actor="ben", reason="late", expected=0)
    assert registry.generation("prod") == 1


def test_of_racing_promotions_one_wins(registry: ModelRegistry) -> None:
    """Eight threads promote from one generation: one succeeds, seven are told."""
    number = validated(registry)
    registry.promote("bearing_failure", number, environment="prod", actor="ana", reason="first")

    def race(actor: int) -> bool:
        try:
            registry.promote("bearing_failure", number, environment="prod", actor=str(actor), reason="race", expected=1)
        except ConflictError:
            return False
        return True

    with ThreadPoolExecutor(max_workers=8) as pool:
        won = sum(pool.map(race, range(8)))

    assert won == 1
    assert registry.generation("prod") == 2
    assert [line.action for line in registry.history("bearing_failure")].count("promote") == 2


def test_history_is_sealed(registry: ModelRegistry) -> None:
    """Changing one word of one line of the history is found."""
    validated(registry)
    assert [line.action for line in registry.history("bearing_failure")] == ["register", "judge"]

    with registry.engine.begin() as connection:
        connection.execute(update(TRANSITION).where(TRANSITION.c.action == "judge").values(actor="mallory"))

    with pytest.raises(CorruptError, match="altered at line 2"):
        registry.history("bearing_failure")


def test_overview_names_champions(registry: ModelRegistry) -> None:
    """The list of models says who owns each and what runs where."""
    number = validated(registry, team="rotating", owner="ana@example.com")
    registry.promote("bearing_failure", number, environment="prod", actor="ana", reason="first")

    (model,) = registry.models()

    assert (model.team, model.versions, dict(model.champions)) == ("rotating", 1, {"prod": 1})
