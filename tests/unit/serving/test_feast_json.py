"""Feast's JSON, without a server."""

from __future__ import annotations

import json

from lineshaft.serving.feast_answers import FeastColumn
from lineshaft.serving.feast_json import answer_json


def test_what_is_no_number_is_written_in_words() -> None:
    """JSON has neither NaN nor infinities: they go out in the words of protobuf's JSON, as Feast has it."""
    values = [1.5, None, float("nan"), float("inf"), float("-inf")]
    column = FeastColumn(name="a", field="double_val", values=values, statuses=["PRESENT"] * 5, times_us=[0] * 5)

    (result,) = answer_json([column])["results"]

    assert result["values"] == [1.5, None, "NaN", "Infinity", "-Infinity"]
    assert json.loads(json.dumps(result, allow_nan=False)) == result
