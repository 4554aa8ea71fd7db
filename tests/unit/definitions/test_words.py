"""The small languages of declarations: channels, durations, near matches, places."""

from __future__ import annotations

import ast
from datetime import timedelta

import pytest

from lineshaft.definitions.places import mentions, spells
from lineshaft.definitions.words import UNITS, parse_channels, parse_duration
from lineshaft.errors import nearest
from lineshaft.sources.catalogue import SOURCES


def expression(text: str) -> ast.expr:
    """Return the syntax of one expression."""
    return ast.parse(text, mode="eval").body


@pytest.mark.parametrize("text", ["", "temperature", "a [g], b", "1a [g]", "a []", "a [g] b [g]"])
def test_channels_need_a_name_and_a_unit_each(text: str) -> None:
    """What is not `name [unit]` is quoted back."""
    with pytest.raises(ValueError, match="is not `name"):
        parse_channels(text)


def test_a_channel_stands_there_once() -> None:
    """A second one of a name would be another column of the payload."""
    with pytest.raises(ValueError, match="twice: a"):
        parse_channels("a [g], a [mg]")


def test_only_the_channels_that_stand_twice_are_named() -> None:
    """Each once, in alphabetic order, whatever stands around them."""
    with pytest.raises(ValueError, match=r"twice: a, b$"):
        parse_channels("b [g], c [g], a [g], a [g], b [g], a [g]")


def test_no_more_than_three_near_words_are_offered() -> None:
    """The nearest first; more would be a list, not a hint."""
    assert nearest("mean", ["mean_1", "mean_22", "mean_3", "mean_4", "max"]).count(" or ") == 2


def test_channels_keep_their_order() -> None:
    """The order is that of the payload."""
    assert [name for name, _ in parse_channels("b [g],a [g] , c [L/min]")] == ["b", "a", "c"]


@pytest.mark.parametrize(
    ("text", "us"),
    [
        ("250ms", 250_000),
        ("5m", 300_000_000),
        (" 30s ", 30_000_000),
        ("0s", 0),
        ("1.5s", 1_500_000),
        ("2 h", 7_200_000_000),
        ("1d", 86_400_000_000),
    ],
)
def test_durations_are_microseconds(text: str, us: int) -> None:
    """Numbers with a unit, fractions allowed."""
    assert parse_duration(text) == us


@pytest.mark.parametrize("text", ["", "30", "s", "-5s", "1 week", "1m30s"])
def test_a_duration_without_a_unit_is_refused(text: str) -> None:
    """30 could be seconds or minutes."""
    with pytest.raises(ValueError, match="is not a duration"):
        parse_duration(text)


def test_near_words_are_offered_and_far_ones_listed() -> None:
    """A typo gets its cure, anything else the choices."""
    assert nearest("temprature", ["temperature", "current"]) == "did you mean temperature?"
    assert nearest("xyz", ["temperature", "current"]) == "use one of current, temperature"
    assert nearest("xyz", [f"long_{i}" for i in range(20)]).endswith(", …")


def test_every_unit_the_readers_use_is_known() -> None:
    """A source that ships can be declared."""
    assert {unit for source in SOURCES.values() for unit in source.units} <= UNITS


def test_a_text_is_found_in_a_literal_or_a_name() -> None:
    """Within a longer literal too: a channel in a list of channels."""
    assert mentions("rms")(expression("'rms'"))
    assert mentions("[celsius]")(expression("'a [g], b [celsius]'"))
    assert mentions("machine")(expression("machine"))
    assert not mentions("rms")(expression("'std'"))
    assert not mentions("")(expression("'std'"))


def test_a_duration_is_found_however_it_is_spelt() -> None:
    """150 seconds are two and a half minutes."""
    accept = spells(timedelta(seconds=150))

    assert accept(expression("timedelta(seconds=150)"))
    assert accept(expression("datetime.timedelta(minutes=2.5)"))
    assert accept(expression("timedelta(0, 150)"))
    assert not accept(expression("timedelta(minutes=2)"))
    assert not accept(expression("timedelta(minutes=SLIDE)"))
    assert not accept(expression("minutes(2.5)"))
