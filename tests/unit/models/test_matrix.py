"""Rows become a matrix in one order, whatever order they came in, or are refused in words."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lineshaft.errors import InputError
from lineshaft.models.matrix import examples, feature_matrix, held_out
from lineshaft.models.spec import ModelSpec

TIME = pa.timestamp("us", tz="UTC")
SPEC = ModelSpec(name="m", task="binary", service="s", features=("v__a", "v__b"))


def rows(**changes: Any) -> pa.Table:
    """Return four rows of two assets, out of order."""
    columns: dict[str, Any] = {
        "asset_id": ["b", "a", "a", "b"],
        "event_time": pa.array([2, 3, 1, 2], TIME),
        "v__a": [4.0, 2.0, 1.0, 3.0],
        "v__b": [None, 8.0, 7.0, 9.0],
        "label": [0, 1, 0, 1],
    }
    return pa.table(columns | changes)


def test_rows_are_sorted_by_asset_time_and_content() -> None:
    """Two rows of one asset at one time are told apart by what they hold."""
    found = examples(SPEC, rows())

    assert found.groups.tolist() == ["a", "a", "b", "b"]
    assert found.values[:, 0].tolist() == [1.0, 2.0, 4.0, 3.0] or found.values[:, 0].tolist() == [1.0, 2.0, 3.0, 4.0]
    assert dict(zip(found.values[:, 0].tolist(), found.labels.tolist(), strict=True)) == {1: 0, 2: 1, 3: 1, 4: 0}
    assert np.isnan(found.values[found.values[:, 0] == 4, 1]).all()
    assert found.values.dtype == np.float32


@given(st.permutations(range(4)), st.integers(0, 4))
def test_the_order_of_rows_and_their_chunks_do_not_count(order: list[int], cut: int) -> None:
    """One set of rows is one training set."""
    shuffled = rows().take(order)
    chunked = pa.concat_tables([shuffled.slice(0, cut), shuffled.slice(cut)])

    first, second = examples(SPEC, rows()), examples(SPEC, chunked)

    assert first.fingerprint == second.fingerprint
    np.testing.assert_array_equal(first.values, second.values)
    np.testing.assert_array_equal(first.labels, second.labels)


CHANGES: dict[str, dict[str, Any]] = {
    "a value": {"v__a": [4.0, 2.0, 1.0, 3.5]},
    "a null": {"v__b": [None, None, 7.0, 9.0]},
    "a label": {"label": [0, 1, 1, 1]},
    "an asset": {"asset_id": ["b", "a", "a", "c"]},
    "a time": {"event_time": pa.array([2, 3, 1, 4], TIME)},
}


@pytest.mark.parametrize("what", CHANGES)
def test_the_fingerprint_covers(what: str) -> None:
    """One change anywhere is another training set."""
    assert examples(SPEC, rows(**CHANGES[what])).fingerprint != examples(SPEC, rows()).fingerprint


def test_the_fingerprint_covers_the_names() -> None:
    """The same numbers under other names, or another label, teach another thing."""
    renamed = rows().rename_columns(["asset_id", "event_time", "v__a", "v__c", "label"])
    other = examples(replace(SPEC, features=("v__a", "v__c")), renamed)
    relabelled = examples(
        replace(SPEC, label="y"), rows().rename_columns(["asset_id", "event_time", "v__a", "v__b", "y"])
    )

    assert len({examples(SPEC, rows()).fingerprint, other.fingerprint, relabelled.fingerprint}) == 3


def test_a_part_keeps_the_fingerprint_of_the_whole() -> None:
    """Both sides of a split are of one training set."""
    whole = examples(SPEC, rows())

    part = whole.take(np.array([True, False, False, True]))

    assert part.fingerprint == whole.fingerprint
    assert part.labels.tolist() == whole.labels[[0, 3]].tolist()
    assert part.groups.tolist() == ["a", "b"]
    assert part.values.shape == (2, 2)


REFUSED: dict[str, tuple[pa.Table, str]] = {
    "no asset": (rows().drop_columns(["asset_id"]), "has no column 'asset_id'"),
    "no time": (rows().drop_columns(["event_time"]), "has no column 'event_time'"),
    "no label": (rows().drop_columns(["label"]), "has no column 'label'"),
    "an asset unknown": (rows(asset_id=["b", None, "a", "b"]), "column 'asset_id' holds nulls"),
    "a time unknown": (rows(event_time=pa.array([1, None, 2, 3], TIME)), "column 'event_time' holds nulls"),
    "a label unknown": (rows(label=[0, None, 1, 1]), "column 'label' holds nulls"),
    "no such feature": (rows().drop_columns(["v__b"]), "feature 'v__b' is not in the table"),
    "a feature of words": (rows(v__b=["x", "y", "z", "w"]), "feature 'v__b' is string, not a number"),
    "a feature of lists": (rows(v__b=[[1.0]] * 4), "feature 'v__b' is list<.*, not a number"),
    "a label of words": (rows(label=["yes", "no", "yes", "no"]), "column 'label' is string, not a number"),
    "a time of words": (rows(event_time=["then"] * 4), "column 'event_time' is string, not a time"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_rows_that_cannot_teach_are_refused(what: str) -> None:
    """The error names the column and what is wrong with it."""
    table, text = REFUSED[what]

    with pytest.raises(InputError, match=text):
        examples(SPEC, table)


def test_whole_numbers_and_truths_are_numbers() -> None:
    """Integers and booleans are split on like any other column, nulls as unknown."""
    table = pa.table({"n": pa.array([1, None], pa.int32()), "t": pa.array([True, False]), "f": pa.array([0.5, 1.5])})

    np.testing.assert_array_equal(feature_matrix(table, ["t", "n", "f"]), [[1, 1, 0.5], [0, np.nan, 1.5]])
    assert feature_matrix(table, []).shape == (2, 0)


@given(st.integers(2, 40), st.floats(0.01, 0.99), st.integers(0, 50))
def test_a_split_keeps_assets_whole_and_both_sides_filled(count: int, share: float, seed: int) -> None:
    """Whatever share is asked, at least one asset stands on each side, and near the share of them is held out."""
    groups = np.repeat([f"pump-{i}" for i in range(count)], 3)

    test = held_out(groups, share=share, seed=seed)

    held = set(groups[test])
    assert held.isdisjoint(groups[~test])
    assert len(held) == min(max(1, round(share * count)), count - 1)


def test_a_split_depends_on_names_and_seed_alone() -> None:
    """Other rows, or another order of them, leave an asset on its side; another seed draws anew."""
    names = np.array([f"pump-{i}" for i in range(20)])
    many = np.concatenate([np.repeat(names[10:], 2), names])

    held = set(names[held_out(names, share=0.3, seed=7)])

    assert set(many[held_out(many, share=0.3, seed=7)]) == held
    assert any(set(names[held_out(names, share=0.3, seed=seed)]) != held for seed in range(5))


def test_a_newcomer_moves_few_assets() -> None:
    """With one asset more, those held out before are held out still, save where the share makes room."""
    names = np.array([f"pump-{i}" for i in range(20)])
    before = set(names[held_out(names, share=0.3, seed=1)])
    grown = np.append(names, "pump-20")

    after = set(grown[held_out(grown, share=0.3, seed=1)])

    assert len(before - after) <= 1


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"task": "ranking"}, "task 'ranking' is not known"),
        ({"features": ()}, "a model needs features, each once"),
        ({"features": ("a", "b", "a")}, "a model needs features, each once"),
        ({"test_share": 0.0}, "held_out: 0.0 is not a share"),
        ({"test_share": 1.0}, "held_out: 1.0 is not a share"),
        ({"test_share": -0.5}, "held_out: -0.5 is not a share"),
    ],
)
def test_a_model_that_cannot_be_trained_is_refused_before_any_data(changes: dict[str, Any], text: str) -> None:
    """The error names the model."""
    with pytest.raises(InputError, match=text) as refused:
        replace(SPEC, **changes)
    assert refused.value.where == "m"
