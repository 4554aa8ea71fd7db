"""Pushed rows become blocks, or rejects with a reason; what fits no block is refused whole."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lineshaft.errors import InputError
from lineshaft.sources.pushed import MOST_ROWS, pushed_reading
from lineshaft.specs import Source

SOURCE = Source(name="readings", channels=("temperature", "current"), units=("degC", "A"))
NOW_US = 1_767_225_600_000_000
AT = "2025-12-31T23:59:00"


def columns(**changed: Any) -> dict[str, list[Any]]:
    """Return one good row, with some columns changed; None takes one away."""
    row = {"asset_id": ["p0"], "event_time": [AT], "temperature": [40.5], "current": [None], **changed}
    return {name: values for name, values in row.items() if values is not None}


def test_a_row_is_a_block_of_one_sample_that_ends_at_its_time() -> None:
    """Values lie in the order of the source's channels, what is not measured is NaN, and it is known when received."""
    reading = pushed_reading(columns(position=["de"]), SOURCE, received_us=NOW_US)

    (block,) = reading.blocks["readings"].to_pylist()
    assert np.frombuffer(block["payload"], "<f8").tolist()[0] == 40.5
    assert np.isnan(np.frombuffer(block["payload"], "<f8")[1])
    assert (block["asset_id"], block["position"]) == ("p0", "de")
    assert block["start_us"] == NOW_US - 61_000_000
    assert (block["known_us"], block["rate_hz"]) == (NOW_US, 1.0)
    assert not reading.rejects.num_rows


def test_a_channel_left_out_is_not_measured_and_numbers_may_be_text() -> None:
    """A caller gives the channels it has; gRPC's map of texts holds numbers too, and times with an offset."""
    given = columns(temperature=None, current=["1.5"], event_time=None, event_timestamp=["2026-01-01T00:59:00+01:00"])

    (block,) = pushed_reading(given, SOURCE, received_us=NOW_US).blocks["readings"].to_pylist()

    assert np.frombuffer(block["payload"], "<f8").tolist()[1] == 1.5
    assert block["start_us"] == NOW_US - 61_000_000


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"asset_id": [""]}, "bad_key"),
        ({"asset_id": [None]}, "bad_key"),
        ({"asset_id": [7]}, "bad_key"),
        ({"position": [7]}, "bad_key"),
        ({"event_time": ["yesterday"]}, "bad_time"),
        ({"event_time": [NOW_US]}, "bad_time"),
        ({"event_time": [None]}, "bad_time"),
        ({"temperature": ["warm"]}, "bad_value"),
        ({"temperature": [True]}, "bad_value"),
        ({"temperature": [[1.0]]}, "bad_value"),
        ({"temperature": [10**400]}, "bad_value"),
        ({"temperature": [float("inf")]}, "infinite_sample"),
        ({"event_time": ["1985-01-01"]}, "before_history"),
        ({"event_time": ["2026-03-01"]}, "from_the_future"),
    ],
)
def test_a_row_that_is_no_reading_is_rejected_with_its_reason(changed: dict[str, list[Any]], reason: str) -> None:
    """It is kept as it came, and the good row beside it goes on."""
    good, bad = columns(position=["de"]), columns(**{"position": ["de"], **changed})
    both = {name: [*good[name], *bad[name]] for name in good}

    reading = pushed_reading(both, SOURCE, received_us=NOW_US)

    assert reading.rejects["reason"].to_pylist() == [reason]
    assert reading.rejects["raw"].to_pylist()[0]
    assert reading.blocks["readings"].num_rows == 1


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (columns(asset_id=None), "asset_id"),
        (columns(event_time=None), "event_time"),
        (columns(temperature=None, current=None), "temperature"),
        (columns(humidity=[3.0]), "humidity"),
        (columns(event_timestamp=[AT]), "event_timestamp"),
        (columns(temperature=[1.0, 2.0]), "temperature"),
        ({}, "columns"),
        ({"asset_id": []}, "rows"),
        ({name: values * (MOST_ROWS + 1) for name, values in columns().items()}, str(MOST_ROWS)),
    ],
)
def test_columns_that_are_no_readings_are_refused(given: dict[str, list[Any]], words: str) -> None:
    """Missing, unknown, uneven or too long columns: nothing is taken in, and the columns are named."""
    with pytest.raises(InputError) as caught:
        pushed_reading(given, SOURCE, received_us=NOW_US)

    assert words in str(caught.value)
    assert caught.value.fix
