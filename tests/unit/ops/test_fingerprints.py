"""Laws of training sets: chunks do not count, keys are asked in the view's types, and what cannot be asked is said."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lineshaft.errors import InputError
from lineshaft.ops.training_set import entity_keys, fingerprint
from lineshaft.specs import Source, View

VIEW = View(
    name="pumps",
    source=Source(name="s", channels=("x",), units=("g",)),
    entity_keys=(("asset_id", "string"), ("line", "int64")),
    features=(),
)
cells = st.tuples(
    st.none() | st.floats(allow_nan=True),
    st.none() | st.text(max_size=4),
    st.none() | st.booleans(),
    st.none() | st.integers(-(2**63), 2**63 - 1),
    st.none() | st.binary(max_size=3),
    st.none() | st.datetimes(timezones=st.just(UTC)),
)
KINDS = (pa.float64(), pa.string(), pa.bool_(), pa.int64(), pa.binary(), pa.timestamp("us", tz="UTC"))


def table(rows: list[tuple[Any, ...]]) -> pa.Table:
    """Return rows of every kind of column."""
    columns = zip(*rows, strict=True) if rows else [[]] * len(KINDS)
    return pa.table({f"c{i}": pa.array(list(c), kind) for i, (c, kind) in enumerate(zip(columns, KINDS, strict=True))})


@given(st.lists(cells, max_size=12), st.lists(st.integers(0, 12), max_size=4))
def test_a_fingerprint_does_not_know_of_chunks(rows: list[tuple[Any, ...]], cuts: list[int]) -> None:
    """However a table was cut, sliced out of a longer one or put together, the same values have one fingerprint."""
    whole = table(rows)
    edges = sorted({0, whole.num_rows, *(cut for cut in cuts if cut <= whole.num_rows)})
    pieces = [whole.slice(start, stop - start) for start, stop in pairwise(edges)]
    longer = pa.concat_tables([whole, whole, whole]).combine_chunks().slice(whole.num_rows, whole.num_rows)

    assert fingerprint(pa.concat_tables([whole.schema.empty_table(), *pieces])) == fingerprint(whole)
    assert fingerprint(longer) == fingerprint(whole)


@given(st.lists(cells, min_size=1, max_size=8), st.data())
def test_another_value_is_another_fingerprint(rows: list[tuple[Any, ...]], data: st.DataObject) -> None:
    """One cell made null, or no longer null, is seen; so is a row taken out."""
    place, column = data.draw(st.integers(0, len(rows) - 1)), data.draw(st.integers(0, len(KINDS) - 1))
    filled = (1.5, "x", True, 7, b"x", datetime(2026, 1, 1, tzinfo=UTC))[column]
    row = list(rows[place])
    row[column] = filled if row[column] is None else None
    changed = [*rows[:place], tuple(row), *rows[place + 1 :]]

    prints = {fingerprint(table(r)) for r in (rows, changed, rows[:-1])}
    assert len(prints) == 3


@pytest.mark.parametrize(
    ("kind", "values", "others"),
    [
        (pa.list_(pa.int64()), [[1], None, [2, 3]], [[1], [2], [2, 3]]),
        (pa.struct([("a", pa.int64())]), [{"a": 1}, None, {"a": 2}], [{"a": 1}, None, {"a": 3}]),
        (pa.dictionary(pa.int8(), pa.string()), ["x", None, "y"], ["x", None, "x"]),
    ],
    ids=["lists", "records", "categories"],
)
def test_columns_carried_along_may_be_of_any_type(kind: pa.DataType, values: list[Any], others: list[Any]) -> None:
    """A label that is a list, a record or a category is part of the fingerprint too."""
    whole, other = pa.table({"c": pa.array(values, kind)}), pa.table({"c": pa.array(others, kind)})

    assert fingerprint(pa.concat_tables([whole.slice(0, 1), whole.slice(1)])) == fingerprint(whole)
    assert fingerprint(other) != fingerprint(whole)


KEYS: dict[str, tuple[Any, Any]] = {
    "as declared": (["a"], [1]),
    "as a category": (pa.array(["a"]).dictionary_encode(), [1]),
    "as large text": (pa.array(["a"], pa.large_string()), [1]),
    "as a small number": (["a"], pa.array([1], pa.int8())),
    "as a whole float": (["a"], [1.0]),
    "as digits": (["a"], ["1"]),
}


@pytest.mark.parametrize("how", KEYS)
def test_a_key_is_one_entity_however_it_is_written(how: str) -> None:
    """Frames of every kind ask about the same machine; further columns and their order do not count."""
    asset, line = KEYS[how]

    keys = entity_keys(VIEW, pa.table({"label": [9], "line": line, "asset_id": asset}))

    assert keys.equals(pa.table({"asset_id": ["a"], "line": [1]}))


WRONG: dict[str, Any] = {
    "a fraction": [1.5],
    "a word": ["one"],
    "a list": [[1]],
    "a record": [{"line": 1}],
    "a number too large": pa.array([2**63], pa.uint64()),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_key_that_cannot_be_one_is_refused(what: str) -> None:
    """The error names the key, what it is and what it should be, whatever Arrow says of it."""
    with pytest.raises(InputError, match=r"entity key 'line' is .*, not int64") as refused:
        entity_keys(VIEW, pa.table({"asset_id": ["a"], "line": WRONG[what]}))
    assert refused.value.fix == "send int64"


def test_what_is_missing_is_told_with_what_is_there() -> None:
    """A misspelt column is seen at a glance."""
    with pytest.raises(InputError, match="view 'pumps' is keyed by 'line'") as refused:
        entity_keys(VIEW, pa.table({"asset_id": ["a"], "lines": [1]}))
    assert refused.value.where == "columns given: asset_id, lines"
    assert refused.value.fix == "add a column 'line' (int64)"
