"""What is known of a call: its id above all, the caller's own or one made here."""

from __future__ import annotations

import contextvars

from lineshaft.serving.calls import KEY, begin, current, request_id, told_to


def within(metadata: list[tuple[str, str | bytes]] | None) -> tuple[str, str]:
    """Return what two requests for the id of one call give."""

    def call() -> tuple[str, str]:
        begin("/s/M", metadata)
        return request_id(), request_id()

    return contextvars.copy_context().run(call)


def test_a_caller_names_its_call() -> None:
    """By metadata; other metadata changes nothing, and a name without end is cut."""
    assert within([("user-agent", "x"), (KEY, "alarm-17")]) == ("alarm-17", "alarm-17")
    assert within([(KEY, "y" * 1000)])[0] == "y" * 128


def test_a_call_without_a_name_gets_ids_nobody_else_has() -> None:
    """Nothing given, nothing usable given: each answer is told apart all the same."""
    for metadata in (None, [], [(KEY, b"\xff")]):
        one, other = within(metadata)  # type: ignore[arg-type]
        assert len(one) == 32
        assert one != other


def test_one_call_does_not_take_the_name_of_another() -> None:
    """A name ends with its call."""
    assert within([(KEY, "first")])[0] == "first"
    assert within([])[0] != "first"


def test_a_call_has_one_id_of_its_own() -> None:
    """Its line in the log and what the caller is told agree, whether the caller gave one or not."""

    def call() -> list[str]:
        begun = begin("/s/M", [])
        return [begun.id, current().id, begun.id]

    ids = contextvars.copy_context().run(call)

    assert len(set(ids)) == 1
    assert len(ids[0]) == 32


def test_where_nobody_is_answered_there_is_a_call_of_nobody() -> None:
    """Code that notes what it knows need not ask whether a server runs it."""
    contextvars.Context().run(lambda: setattr(current(), "feature_service", "x"))

    assert contextvars.Context().run(current).feature_service == ""


def test_every_listener_is_told() -> None:
    """None, one, or several, in order."""
    heard: list[str] = []
    listeners = [lambda *_, name=name: heard.append(name) for name in "ab"]
    for count in range(3):
        told_to(listeners[:count])(current(), "OK", 0.1)

    assert heard == ["a", "a", "b"]
