"""What is said of models changes; what was registered and decided does not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lineshaft.clock import ManualClock
from lineshaft.errors import ConflictError, InputError, NotFoundError, TakenError
from lineshaft.registry.annotations import Annotations, Said
from lineshaft.registry.audit import faults
from lineshaft.registry.cards import OF_THE_MODEL
from lineshaft.registry.models import ModelRegistry
from lineshaft.registry.records import Candidate, Slot, State, Verdict

NAME = "rul"


@pytest.fixture
def words(registry: ModelRegistry) -> Annotations:
    """Return what may be said of the models of a registry."""
    return Annotations(registry=registry, environment="dev")


def add(words: Annotations, candidate: Candidate, **said: str) -> int:
    """Register a version with words about it; return its number."""
    version = words.registry.register(candidate, actor="ana")
    return words.say(NAME, version.number, Said(tags={"k": "v"}, **said)).number


def test_a_model_is_made_once(words: Annotations) -> None:
    """Its name is taken then, and it has what was said of it."""
    made = words.create("größe 7", team="t", description="d", tags={"a b": "x"})

    assert (made.team, made.description, made.tags) == ("t", "d", {"a b": "x"})
    with pytest.raises(TakenError):
        words.create("größe 7", team="t", description="", tags={})
    with pytest.raises(InputError, match="names no model"):
        words.create(".hidden", team="", description="", tags={})
    assert words.models() == [made]


def test_a_model_that_was_trained_here_can_be_spoken_of(words: Annotations, candidate: Candidate) -> None:
    """Nothing was said of it yet: its card has its own times, and it is changed like any other."""
    words.registry.register(candidate, actor="ana")

    before = words.model(NAME)
    words.tag(NAME, 1, "k", "v")
    words.describe_version(NAME, 1, "d")

    assert before.created_us == before.changed_us
    assert words.version(NAME, 1).source == "lineshaft:rul@1"
    assert (words.version(NAME, 1).description, words.version(NAME, 1).tags) == ("d", {"k": "v"})


def test_times_say_when_something_changed(words: Annotations, candidate: Candidate, clock: ManualClock) -> None:
    """A description and a version move a model's time; a tag and an alias do not, as in MLflow."""
    made = words.create(NAME, team="", description="", tags={})
    clock.time_us += 1_000_000
    add(words, candidate)
    registered = words.model(NAME)
    clock.time_us += 1_000_000
    words.tag(NAME, OF_THE_MODEL, "k", "v")
    words.alias(NAME, "best", 1)

    assert made.changed_us < registered.changed_us == words.model(NAME).changed_us == words.version(NAME, 1).created_us
    words.describe(NAME, "d")
    assert words.model(NAME).changed_us == clock.time_us


def test_tags_and_aliases_are_set_anew_and_taken_away(words: Annotations, candidate: Candidate) -> None:
    """The last word counts; what is not there is gone already."""
    first, second = add(words, candidate), add(words, candidate)
    for number in (first, second):
        words.alias(NAME, "best", number)
    words.tag(NAME, OF_THE_MODEL, "k", "1")
    words.tag(NAME, OF_THE_MODEL, "k", "2")

    assert words.model(NAME).aliases == {"best": second}
    assert (words.version(NAME, first).aliases, words.version(NAME, second).aliases) == ((), ("best",))
    assert words.model(NAME).tags == {"k": "2"}
    for _ in range(2):
        words.unalias(NAME, "best")
        words.untag(NAME, OF_THE_MODEL, "k")
    assert (words.model(NAME).aliases, words.model(NAME).tags) == ({}, {})
    with pytest.raises(NotFoundError):
        words.alias(NAME, "best", 99)
    with pytest.raises(NotFoundError):
        words.tag("nobody", OF_THE_MODEL, "k", "v")


def test_a_slot_is_an_alias_that_is_not_set_here(words: Annotations, candidate: Candidate) -> None:
    """Who holds a slot of this environment is shown; of another, not."""
    number = add(words, candidate)
    words.registry.judge(NAME, number, Verdict(gate="g", outcome="pass", detail=""), actor="ana")
    for environment in ("dev", "prod"):
        words.registry.promote(NAME, number, environment=environment, actor="ana", reason="r")

    assert words.model(NAME).aliases == {"champion": number}


def test_a_deleted_version_is_retired_for_good(words: Annotations, candidate: Candidate) -> None:
    """It is shown no more, its number is not used again, and the history says who and why."""
    add(words, candidate)
    words.alias(NAME, "best", 1)

    words.delete_version(NAME, 1, actor="bo", reason="wrong rows")

    assert (words.versions(NAME), words.model(NAME).aliases) == ([], {})
    assert words.registry.get(NAME, 1).state is State.RETIRED
    line = words.registry.history(NAME)[-1]
    assert (line.action, line.actor, line.reason) == ("retire", "bo", "wrong rows")
    assert add(words, candidate) == 2
    assert faults(words.registry.account(NAME)) == []
    with pytest.raises(NotFoundError):
        words.delete_version(NAME, 1, actor="bo", reason="")


def test_what_holds_a_slot_is_not_deleted(words: Annotations, candidate: Candidate) -> None:
    """Neither the version nor its model, whichever environment it serves."""
    add(words, candidate)
    words.registry.promote(NAME, 1, environment="prod", slot=Slot.SHADOW, actor="ana", reason="r")

    with pytest.raises(ConflictError, match="is shadow in 'prod'"):
        words.delete_version(NAME, 1, actor="bo", reason="")
    with pytest.raises(ConflictError, match="is shadow in 'prod'"):
        words.delete(NAME, actor="bo", reason="")
    assert words.version(NAME, 1).number == 1


def test_a_deleted_model_begins_anew_and_its_history_goes_on(words: Annotations, candidate: Candidate) -> None:
    """What was said of it is gone; numbers and the sealed history are not."""
    add(words, candidate)
    words.tag(NAME, OF_THE_MODEL, "k", "v")
    words.delete(NAME, actor="bo", reason="")

    assert words.models() == []
    with pytest.raises(NotFoundError):
        words.model(NAME)
    again = words.create(NAME, team="", description="", tags={})
    assert (again.tags, words.versions(NAME)) == ({}, [])
    assert add(words, candidate) == 2
    assert [line.action for line in words.registry.history(NAME)] == ["register", "retire", "register"]


def test_a_deleted_model_comes_back_when_it_is_trained_again(words: Annotations, candidate: Candidate) -> None:
    """A version that is registered after that is there for all to see."""
    add(words, candidate)
    words.delete(NAME, actor="bo", reason="")

    words.registry.register(candidate, actor="ana")

    assert [card.number for card in words.versions(NAME)] == [2]
    assert words.model(NAME).name == NAME


def test_only_a_model_without_a_history_is_renamed(words: Annotations, candidate: Candidate) -> None:
    """Its tags go with it; names of others, and names that a history is sealed under, are not to be had."""
    words.create("a", team="t", description="d", tags={"k": "v"})
    renamed = words.rename("a", "b")

    assert (renamed.name, renamed.team, renamed.tags) == ("b", "t", {"k": "v"})
    assert [card.name for card in words.models()] == ["b"]
    words.registry.register(replace(candidate, model="b", task="rul"), actor="ana")
    with pytest.raises(ConflictError, match="sealed history"):
        words.rename("b", "c")
    words.create("d", team="", description="", tags={})
    words.delete("b", actor="bo", reason="")
    with pytest.raises(TakenError):
        words.rename("d", "b")
    with pytest.raises(NotFoundError):
        words.rename("nobody", "e")


def test_a_model_without_versions_leaves_no_trace(words: Annotations) -> None:
    """There is nothing to remember of it, so its name is free."""
    words.create("a", team="t", description="", tags={"k": "v"})
    words.delete("a", actor="bo", reason="")
    words.create("b", team="", description="", tags={})

    assert words.rename("b", "a").tags == {}


def test_what_pins_nothing_serves_nothing(words: Annotations, candidate: Candidate) -> None:
    """A version of no feature service is kept and shown, and holds no slot, not even a shadow's."""
    add(words, replace(candidate, service="", service_json="", pins=(), task=""))

    for slot in Slot:
        with pytest.raises(ConflictError, match="pins no feature view"):
            words.registry.promote(NAME, 1, environment="dev", slot=slot, actor="ana", reason="r")
    with pytest.raises(ConflictError, match="is , not regression"):
        words.registry.register(candidate, actor="ana")
    assert faults(words.registry.account(NAME)) == []
