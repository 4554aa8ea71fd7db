"""Feast's JSON, without a server."""

from __future__ import annotations

import json

import pytest

from lineshaft.errors import InputError
from lineshaft.serving.feast_answers import FeastColumn
from lineshaft.serving.feast_json import answer_json, question


def test_what_is_no_number_is_written_in_words() -> None:
    """JSON has neither NaN nor infinities: they go out in the words of protobuf's JSON, as Feast has it."""
    values = [1.5, None, float("nan"), float("inf"), float("-inf")]
    column = FeastColumn(name="a", field="double_val", values=values, statuses=["PRESENT"] * 5, times_us=[0] * 5)

    (result,) = answer_json([column])["results"]

    assert result["values"] == [1.5, None, "NaN", "Infinity", "-Infinity"]
    assert json.loads(json.dumps(result, allow_nan=False)) == result


def test_times_that_no_calendar_holds_are_the_first_or_the_last_there_is() -> None:
    """A stored row may say anything; who asks for it gets an answer all the same."""
    times = [-(2**63), 2**63 - 1, 0]
    column = FeastColumn(name="a", field="int64_val", values=[1] * 3, statuses=["PRESENT"] * 3, times_us=times)

    (result,) = answer_json([column])["results"]

    assert result["event_timestamps"] == ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z", "1970-01-01T00:00:00Z"]


@pytest.mark.parametrize("name", [b'"\\ud800"', b'"\xed\xa0\x80"', b'"\xff"'], ids=["escaped", "encoded", "junk"])
def test_half_a_surrogate_pair_is_no_text(name: bytes) -> None:
    """JSON may spell it, and no database can look for it."""
    with pytest.raises(InputError, match="no JSON"):
        question(b'{"feature_service": ' + name + b', "entities": {"asset_id": ["p0"]}}')


def test_a_whole_pair_is_a_text() -> None:
    """A letter beyond the sixteen bits is named by two escapes."""
    asked, _, _ = question(b'{"feature_service": "\\ud83d\\ude00", "entities": {"asset_id": ["p0"]}}')

    assert asked == "\N{GRINNING FACE}"
