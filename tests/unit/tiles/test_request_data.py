"""Numbers of a request: in their declared types, however they came, or refused by name."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from lineshaft.errors import InputError
from lineshaft.specs import Status
from lineshaft.tiles.buffers import number_array
from lineshaft.tiles.keys import Keys
from lineshaft.tiles.request_data import request_sheet

P, NULL = int(Status.PRESENT), int(Status.NULL)


@pytest.mark.parametrize(
    ("dtype", "given", "expected"),
    [
        ("float64", [1, 2], [1.0, 2.0]),
        ("float64", [0.1, None], [0.1, None]),
        ("float64", [0.1, float("nan")], [0.1, None]),
        ("float64", [None, None], [None, None]),
        ("float32", [0.1, 2], [float(np.float32(0.1)), 2.0]),
        ("int64", [2**53 + 1, None], [2**53 + 1, None]),
        ("int64", [2.0, -3.0], [2, -3]),
        ("int32", [7, 8], [7, 8]),
    ],
)
def test_numbers_take_the_type_of_their_field(dtype: str, given: list[float | None], expected: list[object]) -> None:
    """A null or NaN is NULL; a table and the keys of a request say the same."""
    by_table = request_sheet({"load": dtype}, pa.table({"asset_id": ["a", "b"], "load": number_array(given)}))
    by_keys = request_sheet({"load": dtype}, Keys({"asset_id": ["a", "b"]}, {"load": number_array(given)}))

    for sheet, status in (by_table, by_keys):
        (block,) = sheet.parts.blocks
        assert (block.dtype, sheet.names, sheet.rows) == (dtype, ("load",), 2)
        assert sheet.table["load"].to_pylist() == expected
        assert status.tolist() == [[P if value is not None else NULL for value in expected]]


def test_whole_numbers_among_the_keys_are_fields_too() -> None:
    """A caller whose request has one place for both need not tell them apart."""
    sheet, _ = request_sheet({"count": "float64"}, Keys({"asset_id": ["a"], "count": np.array([3])}))

    assert sheet.table["count"].to_pylist() == [3.0]


@pytest.mark.parametrize(
    ("dtype", "given"),
    [
        ("float64", pa.array(["1.5"])),
        ("float64", pa.array([True])),
        ("float64", pa.array([2**53 + 1])),
        ("int64", pa.array([0.5])),
        ("int64", pa.array([float("nan")])),
        ("int32", pa.array([2**31])),
    ],
    ids=["text", "truth", "beyond a double", "a fraction", "no number", "beyond 32 bits"],
)
def test_what_does_not_fit_is_refused_by_name(dtype: str, given: pa.Array) -> None:
    """Nothing is rounded or read from text unasked."""
    with pytest.raises(InputError, match="'load'") as refused:
        request_sheet({"load": dtype}, pa.table({"load": given}))
    assert dtype in f"{refused.value.what} {refused.value.fix}"


@pytest.mark.parametrize("rows", [None, pa.table({"asset_id": ["a"]})])
def test_a_field_that_is_missing_is_named(rows: pa.Table | None) -> None:
    """With its type and the columns there are."""
    with pytest.raises(InputError, match="lacks 'load'") as refused:
        request_sheet({"load": "float64"}, rows)
    assert "float64" in refused.value.fix


def test_no_entities_have_no_numbers() -> None:
    """An empty column has no type to be wrong."""
    sheet, status = request_sheet({"load": "float64"}, Keys({"asset_id": [], "load": []}))

    assert (sheet.rows, status.shape) == (0, (1, 0))


def test_a_column_is_a_key_or_data() -> None:
    """Not both under one name, nor of another length."""
    with pytest.raises(InputError, match="twice"):
        Keys({"load": np.array([1])}, {"load": number_array([1.0])})
    with pytest.raises(InputError, match="different length"):
        Keys({"asset_id": ["a"]}, {"load": number_array([1.0, 2.0])})
