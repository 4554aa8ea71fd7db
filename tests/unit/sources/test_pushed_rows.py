"""Pushed rows of features come out in the view's own types, or as rejects with a reason."""

from __future__ import annotations

import math
from typing import Any

import pytest

from lineshaft.errors import InputError
from lineshaft.sources.pushed_rows import pushed_rows
from lineshaft.specs import Feature, Source, View, row_schema

DTYPES = ("float64", "float32", "int64", "int32", "bool", "string", "bytes", "timestamp")
VIEW = View(
    name="lab",
    source=Source(name="lab_rows", channels=(), units=(), kind="rows", timestamp_field="at", created_field="made"),
    entity_keys=(("asset_id", "string"), ("slot", "int64")),
    features=tuple(Feature(name=f"a_{dtype}", dtype=dtype) for dtype in DTYPES),
)
NOW_US = 1_767_225_600_000_000
VALUES = (0.1, 0.5, 2**53 + 1, -7, True, "läuft", "AP8=", 1_767_225_600)


def columns(**changed: Any) -> dict[str, list[Any]]:
    """Return one good row, with some columns changed; None takes one away."""
    row: dict[str, Any] = {"asset_id": ["p0"], "slot": [1], "at": ["2025-12-31T23:59:00"]}
    row |= {f"a_{dtype}": [value] for dtype, value in zip(DTYPES, VALUES, strict=True)}
    return {name: values for name, values in {**row, **changed}.items() if values is not None}


def test_every_type_is_read_as_declared() -> None:
    """Integers beyond 2^53, float32, bytes from base64 and moments in seconds are what they were; nulls stay nulls."""
    rows, rejects = pushed_rows(columns(), VIEW, received_us=NOW_US)
    nulls, _ = pushed_rows(columns(**{f"a_{dtype}": [None] for dtype in DTYPES}), VIEW, received_us=NOW_US)

    assert rows.schema == row_schema(VIEW)
    (row,) = rows.to_pylist()
    assert (row["a_float64"], row["a_float32"], row["a_int64"], row["a_int32"]) == (0.1, 0.5, 2**53 + 1, -7)
    assert (row["a_bool"], row["a_string"], row["a_bytes"]) == (True, "läuft", b"\x00\xff")
    assert int(row["a_timestamp"].timestamp() * 1e6) == NOW_US
    assert [nulls[f"a_{dtype}"][0].as_py() for dtype in DTYPES] == [None] * 8
    assert not rejects.num_rows


def test_a_row_is_known_when_it_was_made_or_else_received() -> None:
    """The created time is believed where it is given, and a null of it is none."""
    said, _ = pushed_rows(columns(made=["2025-12-31T23:59:30Z"]), VIEW, received_us=NOW_US)
    unsaid, _ = pushed_rows(columns(made=[None]), VIEW, received_us=NOW_US)

    assert int(said["known_at"][0].as_py().timestamp()) == NOW_US // 1_000_000 - 30
    assert int(unsaid["known_at"][0].as_py().timestamp()) == NOW_US // 1_000_000


def test_text_may_hold_numbers_and_truth() -> None:
    """What comes as text, as in gRPC's map, is read by the declared types, keys too."""
    text = {"a_float64": ["1e3"], "a_int64": ["-3"], "a_bool": ["False"], "a_timestamp": ["2026-01-01"]}

    (row,) = pushed_rows(columns(slot=["1"], **text), VIEW, received_us=NOW_US)[0].to_pylist()

    assert (row["a_float64"], row["a_int64"], row["a_bool"]) == (1000.0, -3, False)
    assert int(row["a_timestamp"].timestamp() * 1e6) == NOW_US


def test_what_is_no_number_is_kept_for_the_checkpoint_to_judge() -> None:
    """NaN and infinities are values of a float column: whether they may be is the suite's business."""
    (row,) = pushed_rows(columns(a_float64=["NaN"], a_float32=[math.inf]), VIEW, received_us=NOW_US)[0].to_pylist()

    assert math.isnan(row["a_float64"])
    assert row["a_float32"] == math.inf


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"asset_id": [""]}, "bad_key"),
        ({"asset_id": [5]}, "bad_key"),
        ({"slot": ["one"]}, "bad_key"),
        ({"slot": [None]}, "bad_key"),
        ({"slot": [1.5]}, "bad_key"),
        ({"at": ["soon"]}, "bad_time"),
        ({"at": [None]}, "bad_time"),
        ({"made": ["soon"]}, "bad_time"),
        ({"at": ["1985-01-01"]}, "before_history"),
        ({"at": ["2026-03-01"]}, "from_the_future"),
        ({"made": ["2026-03-01"]}, "from_the_future"),
        ({"a_float64": ["warm"]}, "bad_value"),
        ({"a_float64": [True]}, "bad_value"),
        ({"a_int64": [2**63]}, "bad_value"),
        ({"a_int32": [2**31]}, "bad_value"),
        ({"a_int32": [1.5]}, "bad_value"),
        ({"a_bool": ["yes"]}, "bad_value"),
        ({"a_bool": [1]}, "bad_value"),
        ({"a_string": [7]}, "bad_value"),
        ({"a_bytes": ["not base64"]}, "bad_value"),
        ({"a_timestamp": ["soon"]}, "bad_value"),
        ({"a_float64": [[1.0]]}, "bad_value"),
    ],
)
def test_a_row_that_does_not_fit_is_rejected_with_its_reason(changed: dict[str, list[Any]], reason: str) -> None:
    """It is kept as it came, and the good row beside it goes on."""
    good = columns(made=["2025-12-31T23:59:30Z"])
    both = {name: [*values, *changed.get(name, values)] for name, values in good.items()}

    rows, rejects = pushed_rows(both, VIEW, received_us=NOW_US)

    assert rejects["reason"].to_pylist() == [reason]
    assert rows.num_rows == 1


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (columns(slot=None), "missing: slot"),
        (columns(a_bool=None), "missing: a_bool"),
        (columns(at=None), "at"),
        (columns(event_time=["2026-01-01"]), "event_time"),
        (columns(made=[None], created=[None]), "created"),
        (columns(more=[1]), "not known: more"),
        (columns(slot=[1, 2]), "slot"),
        ({}, "columns"),
    ],
)
def test_columns_that_are_no_rows_are_refused(given: dict[str, list[Any]], words: str) -> None:
    """Missing, unknown, doubled or uneven columns: nothing is taken in, and they are named."""
    with pytest.raises(InputError) as caught:
        pushed_rows(given, VIEW, received_us=NOW_US)

    assert words in str(caught.value)
