"""Each act on the registry, its line of history, and what is told to those who come too late; on both databases."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, insert, update

from lineshaft.clock import ManualClock
from lineshaft.errors import ConflictError, CorruptError, InputError, NotFoundError, UnavailableError
from lineshaft.registry.history import genesis, seal, verify
from lineshaft.registry.models import ModelRegistry, open_registry
from lineshaft.registry.records import MOVES, Head, State, Transition, Verdict, ViewPin
from lineshaft.registry.tables import MODEL, TRANSITION, VERSION
from lineshaft.testing import small_candidate

CANDIDATE = small_candidate(
    service_json='{"name": "turbofan"}',
    features=("z__last", "a__first"),
    pins=(ViewPin(view="zebra", version="2" * 12, table_version=9), ViewPin(view="ant", version="1" * 12)),
    artifact=b'{"a": 1}',
    params={"eta": 0.1, "depth": 3},
    metrics={"rmse": 4.5, "mae": 3.0},
    lock_sha256="c" * 64,
    team="engines",
    owner="eve@x",
    description="Cycles left.",
)
PASS = Verdict(gate="bar", outcome="pass", detail="good enough", policy_sha256="d" * 64)
FAIL = replace(PASS, outcome="fail", detail="too bad")
UNKNOWN = replace(PASS, outcome="unknown", detail="too little")


def chain(length: int) -> list[Transition]:
    """Return a sound history."""
    lines: list[Transition] = []
    for number in range(length):
        line = Transition(
            model="rul",
            number=number,
            action="register",
            before="",
            after="registered",
            actor="ana",
            reason="",
            at_us=number,
            previous_digest=lines[-1].digest if lines else genesis("rul"),
            digest="",
        )
        lines.append(replace(line, digest=seal(line)))
    return lines


@pytest.fixture
def champion(registry: ModelRegistry) -> ModelRegistry:
    """Return a registry whose version 1 was registered, judged and promoted by three people."""
    registry.register(CANDIDATE, actor="ana", reason="nightly")
    registry.judge("rul", 1, PASS, actor="gate")
    registry.promote("rul", 1, environment="prod", actor="ben", reason="it is better")
    return registry


def test_every_word_of_a_candidate_is_kept(registry: ModelRegistry) -> None:
    """What was registered is read back field by field; pins come by view, features in their own order."""
    version = registry.register(CANDIDATE, actor="ana")

    same = set(version.__slots__) & set(CANDIDATE.__slots__) - {"pins"}
    assert {name: getattr(version, name) for name in same} == {name: getattr(CANDIDATE, name) for name in same}
    assert [pin.view for pin in version.pins] == ["ant", "zebra"]
    assert set(version.pins) == set(CANDIDATE.pins)
    assert (version.state, version.actor, version.created_us, version.artifact_bytes) == (
        State.REGISTERED,
        "ana",
        1_000_000,
        len(CANDIDATE.artifact),
    )


def test_versions_keep_their_own_pins(registry: ModelRegistry) -> None:
    """Two versions of one model that read other tables are not mixed up."""
    registry.register(CANDIDATE, actor="ana")
    other = (ViewPin(view="ant", version="3" * 12, table_version=1),)
    registry.register(replace(CANDIDATE, pins=other), actor="ana")

    newest, oldest = registry.versions("rul")

    assert newest.pins == other
    assert len(oldest.pins) == 2
    assert registry.get("rul", 1) == oldest


def test_models_do_not_share_numbers_or_history(registry: ModelRegistry) -> None:
    """A second model begins at 1 with a chain of its own."""
    registry.register(CANDIDATE, actor="ana")
    registry.register(replace(CANDIDATE, model="wear"), actor="ben")

    assert [model.name for model in registry.models()] == ["rul", "wear"]
    assert [version.ref for version in registry.versions("wear")] == ["wear@1"]
    assert [line.actor for line in registry.history("wear")] == ["ben"]
    assert registry.versions("nothing") == []


def test_an_act_is_one_line_with_what_was_before_and_after(champion: ModelRegistry, clock: ManualClock) -> None:
    """Register, judge and promote tell state and assignment on both sides, who, why and when."""
    clock.advance(seconds=1)
    champion.register(CANDIDATE, actor="ana")
    champion.judge("rul", 2, PASS, actor="gate")
    champion.promote("rul", 2, environment="prod", actor="eve", reason="newer")

    told = [(line.action, line.number, line.before, line.after, line.actor) for line in champion.history("rul")]
    assert told == [
        ("register", 1, "", "registered", "ana"),
        ("judge", 1, "registered", "validated", "gate"),
        ("promote", 1, "", "prod:champion=1", "ben"),
        ("register", 2, "", "registered", "ana"),
        ("judge", 2, "registered", "validated", "gate"),
        ("promote", 2, "prod:champion=1", "prod:champion=2", "eve"),
    ]
    reasons = [line.reason for line in champion.history("rul")]
    assert reasons[:3] == ["nightly", "bar: pass; good enough", "it is better"]
    assert [line.at_us for line in champion.history("rul")] == [1_000_000] * 3 + [2_000_000] * 3


@pytest.mark.parametrize("column", [field.name for field in fields(Transition)])
def test_no_column_of_the_history_can_be_changed_unseen(column: str) -> None:
    """Each is under the seal, the seals themselves included; so is the name of the model."""
    lines = chain(3)
    head = Head(length=3, digest=lines[-1].digest)
    value: Any = 5 if column in {"number", "at_us"} else "0" * 64
    lines[1] = replace(lines[1], **{column: value})

    with pytest.raises(CorruptError, match="history of model 'rul' was altered at line 2"):
        verify("rul", lines, head)
    with pytest.raises(CorruptError, match="history of model 'wear' was altered at line 1"):
        verify("wear", chain(3), head)
    verify("rul", chain(3), head)


def test_a_line_taken_out_is_missed(champion: ModelRegistry) -> None:
    """The line after it no longer follows."""
    with champion.engine.begin() as connection:
        connection.execute(delete(TRANSITION).where(TRANSITION.c.action == "judge"))

    with pytest.raises(CorruptError, match="altered at line 2"):
        champion.history("rul")


def test_a_chain_begins_with_its_models_name(champion: ModelRegistry) -> None:
    """A whole history cannot be passed off as another model's, and every digest is the next line's beginning."""
    lines = champion.history("rul")

    assert lines[0].previous_digest == genesis("rul") != genesis("wear")
    assert [line.previous_digest for line in lines[1:]] == [line.digest for line in lines[:-1]]
    assert [seal(line) for line in lines] == [line.digest for line in lines]


def test_a_seal_is_the_same_for_ever() -> None:
    """A release that sealed otherwise would call every old history altered."""
    assert genesis("rul") == "82cfa749efe8c913c457d62dd605c86dcb9da4ada40c429928d50717d3d7d719"


@pytest.mark.parametrize(("first", "second"), [(PASS, FAIL), (UNKNOWN, PASS), (UNKNOWN, FAIL), (PASS, PASS)])
def test_a_version_can_be_judged_again(registry: ModelRegistry, first: Verdict, second: Verdict) -> None:
    """A pass may be taken back and unknown may become known; the newest verdict stands first, with its policy."""
    registry.register(CANDIDATE, actor="ana")

    registry.judge("rul", 1, first, actor="gate")
    judged = registry.judge("rul", 1, second, actor="gate")

    wanted = {"pass": State.VALIDATED, "fail": State.REJECTED}[second.outcome]
    assert judged.state == registry.get("rul", 1).state == wanted
    assert registry.verdicts("rul", 1) == [second, first]


def test_what_failed_does_not_pass_later(registry: ModelRegistry) -> None:
    """A rejected version stays rejected: train another. The verdict that could not move it is not kept either."""
    registry.register(CANDIDATE, actor="ana")
    registry.judge("rul", 1, FAIL, actor="gate")

    with pytest.raises(ConflictError, match="rul@1 is rejected: it cannot be validated any more"):
        registry.judge("rul", 1, PASS, actor="gate")

    assert registry.verdicts("rul", 1) == [FAIL]
    assert registry.get("rul", 1).state is State.REJECTED


def test_legal_moves_never_lead_back() -> None:
    """Nothing returns to registered, nothing leaves retired, and every state can be retired."""
    assert all(State.REGISTERED not in after for after in MOVES.values())
    assert MOVES[State.RETIRED] == frozenset()
    assert all(State.RETIRED in MOVES[state] for state in State if state is not State.RETIRED)
    assert State.VALIDATED not in MOVES[State.REJECTED]


def test_two_judges_of_one_version_are_told_apart(registry: ModelRegistry) -> None:
    """Who moved the state meanwhile wins; the other's verdict is not written."""
    version = registry.register(CANDIDATE, actor="ana")
    registry.register(CANDIDATE, actor="ana")
    with registry.engine.begin() as connection:
        connection.execute(update(VERSION).where(VERSION.c.number == 1).values(state="retired"))

    with (
        pytest.raises(ConflictError, match="somebody else judged rul@1 first"),
        registry.engine.begin() as connection,
    ):
        registry._move(connection, version, State.VALIDATED)  # noqa: SLF001  the race itself cannot be timed

    assert registry.get("rul", 2).state is State.REGISTERED


def test_a_number_taken_by_another_is_a_conflict(registry: ModelRegistry) -> None:
    """The database settles it, and the loser is told to look again."""
    registry.register(CANDIDATE, actor="ana")

    row = {"name": "rul", "task": "t", "team": "", "owner": "", "description": "", "created_us": 0}

    with (
        pytest.raises(ConflictError, match="somebody else changed the registry first"),
        registry._acting("rul") as connection,  # noqa: SLF001  the race itself cannot be timed
    ):
        connection.execute(insert(MODEL).values(row))


@pytest.mark.parametrize("state", [State.REGISTERED, State.REJECTED])
def test_what_is_not_validated_is_not_promoted(registry: ModelRegistry, state: State) -> None:
    """The error says in which state it is, and no assignment is made."""
    registry.register(CANDIDATE, actor="ana")
    if state is State.REJECTED:
        registry.judge("rul", 1, FAIL, actor="gate")

    with pytest.raises(ConflictError, match=f"rul@1 is {state}, not validated"):
        registry.promote("rul", 1, environment="prod", actor="ana", reason="hope")

    assert registry.assignments("rul") == []
    assert registry.generation("prod") == 0


def test_environments_and_models_have_champions_of_their_own(champion: ModelRegistry) -> None:
    """Promoting elsewhere, or another model, ends nobody's reign."""
    champion.register(replace(CANDIDATE, model="wear"), actor="ana")
    champion.judge("wear", 1, PASS, actor="gate")
    champion.promote("rul", 1, environment="staging", actor="ben", reason="try")
    champion.promote("wear", 1, environment="prod", actor="ben", reason="try")

    assert {m.name: dict(m.champions) for m in champion.models()} == {
        "rul": {"prod": 1, "staging": 1},
        "wear": {"prod": 1},
    }
    assert (champion.generation("prod"), champion.generation("staging"), champion.generation("dev")) == (2, 1, 0)
    assert all(one.valid_to_us is None for one in (*champion.assignments("rul"), *champion.assignments("wear")))


def test_a_reign_ends_when_the_next_begins(champion: ModelRegistry, clock: ManualClock) -> None:
    """At the very moment of a promotion the new champion answers, a microsecond before it the old one."""
    champion.register(CANDIDATE, actor="ana")
    champion.judge("rul", 2, PASS, actor="gate")
    clock.advance(seconds=4)
    made = champion.promote("rul", 2, environment="prod", actor="ben", reason="newer", expected=1)

    assert (made.valid_from_us, made.valid_to_us, made.environment) == (5_000_000, None, "prod")
    assert [champion.champion("rul", "prod", at_us=t).number for t in (1_000_000, 4_999_999, 5_000_000)] == [1, 1, 2]
    assert champion.champion("rul", "prod").number == 2
    with pytest.raises(NotFoundError, match="has no champion in 'prod'"):
        champion.champion("rul", "prod", at_us=999_999)


def test_what_does_not_exist_is_named(champion: ModelRegistry) -> None:
    """A version, a model, an environment: each error says which, and names a command that exists."""
    with pytest.raises(NotFoundError, match="model 'rul' has no version 2") as missing:
        champion.judge("rul", 2, PASS, actor="gate")
    assert missing.value.fix == "see `lineshaft models`"
    with pytest.raises(NotFoundError, match="nothing is known of a model 'none'"):
        champion.promote("none", 1, environment="prod", actor="ana", reason="")
    with pytest.raises(NotFoundError, match="'none' has no champion in 'prod'"):
        champion.champion("none", "prod")
    assert champion.history("none") == []


def test_a_refused_artifact_leaves_nothing_behind(registry: ModelRegistry) -> None:
    """A pickle is turned away before anything is written to the database."""
    with pytest.raises(InputError):
        registry.register(replace(CANDIDATE, artifact=b"\x80\x04K\x01.", artifact_format="ubj"), actor="ana")

    assert registry.models() == []


def test_a_database_that_does_not_answer_is_unavailable(tmp_path: Path) -> None:
    """What a server polls says so in one error of ours, not in the driver's."""
    empty = open_registry(
        database_url=f"sqlite:///{tmp_path / 'none.db'}", artifacts=tmp_path, clock=ManualClock(time_us=1)
    )

    with pytest.raises(UnavailableError, match="database does not answer"):
        empty.generation("prod")
    empty.engine.dispose()
