"""The id of a call: the caller's own, or one made here."""

from __future__ import annotations

import contextvars

from lineshaft.serving.request_ids import KEY, begin, request_id


def within(metadata: list[tuple[str, str | bytes]] | None) -> tuple[str, str]:
    """Return what two requests for the id of one call give."""

    def call() -> tuple[str, str]:
        begin(metadata)
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
