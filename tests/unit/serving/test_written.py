"""Bytes written by hand are those that protobuf would read back as the same answer."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lineshaft.rpc.v1 import features_pb2
from lineshaft.serving import convert, written
from lineshaft.serving.features import Plan, Served
from lineshaft.specs import Feature, Service, ServiceView, Source, Status, View
from lineshaft.tiles.answer import answer_rows
from lineshaft.tiles.joined import join
from lineshaft.tiles.sheet import Sheet

P = Status.PRESENT
TIME = pa.timestamp("us", tz="UTC")
KINDS = {"float64": pa.float64(), "int64": pa.int64(), "string": pa.string(), "bool": pa.bool_(), "timestamp": TIME}
VIEWS = tuple(
    View(
        name=name,
        source=Source(name="s", channels=("x",), units=("g",)),
        entity_keys=(("asset_id", "string"),),
        features=tuple(Feature(name=f"{dtype}_{i}", dtype=dtype) for dtype in kinds for i in range(2)),
    )
    for name, kinds in (("pumps", ("float64", "int64", "string")), ("sites", ("bool", "timestamp", "float64")))
)
SERVICE = Service(
    name="s", views=tuple(ServiceView(view=v.name, version=v.version, features=v.feature_names) for v in VIEWS)
)
PLAN = Plan(service=SERVICE, views=VIEWS, versions=tuple(v.version for v in VIEWS), join_keys={"asset_id": "string"})
CELLS: dict[str, st.SearchStrategy[Any]] = {
    "float64": st.floats(allow_nan=False),
    "int64": st.integers(-(2**63), 2**63 - 1),
    "string": st.text(max_size=5),
    "bool": st.booleans(),
    "timestamp": st.integers(-(2**50), 2**50),
}


@st.composite
def served(draw: st.DrawFn) -> Served:
    """Return an answer about some entities, any value of which may not be there."""
    n = draw(st.integers(0, 9))
    parts = []
    for view in VIEWS:
        status = np.array(draw(st.lists(st.sampled_from([P, P, Status.NOT_FOUND]), min_size=n, max_size=n)), np.int8)
        columns: dict[str, Any] = {"event_time": pa.array([5] * n, TIME)}
        for feature in view.features:
            cells = draw(st.lists(st.one_of(st.none(), CELLS[feature.dtype]), min_size=n, max_size=n))
            columns[feature.name] = pa.array(cells, KINDS[feature.dtype])
        parts.append((Sheet.of(pa.table(columns)), status, view.feature_names))
    answer = answer_rows(SERVICE, VIEWS, join(parts), np.full(n, 7))
    return Served(answer=answer, plan=PLAN, at_us=draw(st.integers(-9, 2**60)), degraded=draw(st.booleans()))


@settings(max_examples=100, deadline=None)
@given(served())
def test_an_answer_in_blocks_says_what_one_in_columns_says(one: Served) -> None:
    """Values, statuses, ages, versions and moment: read back by protobuf they are those of the answer."""
    blocks = features_pb2.GetFeaturesResponse.FromString(written.features(one, features_pb2.ENCODING_BLOCKS))
    plain = features_pb2.GetFeaturesResponse.FromString(written.features(one, features_pb2.ENCODING_COLUMNS))

    assert list(blocks.names) == [column.name for column in plain.columns] == list(one.answer.sheet.names)
    arrays = [convert.column_from(column, plain.rows) for column in plain.columns]
    assert [a.to_pylist() for a in convert.blocks_from(blocks)] == [a.to_pylist() for a in arrays]
    cells = convert.cells_from(blocks)
    assert [cells[name].tolist() for name in blocks.names] == one.answer.status.T.tolist()
    assert [*blocks.views] == [*plain.views]
    assert (blocks.rows, blocks.served_at_us, blocks.degraded) == (plain.rows, one.at_us, one.degraded)


@pytest.mark.parametrize("others", [0, 1, 3])
def test_answers_on_streams_and_watches_hold_the_same_bytes(others: int) -> None:
    """What is wrapped comes out as it went in, numbered and in order; a message larger than one length byte says."""
    answer = features_pb2.GetFeaturesResponse(rows=3, names=[f"name {i}" for i in range(40)])
    raw = answer.SerializeToString()

    whole = written.with_others(written.on_stream(7, raw), [written.on_stream(i, raw) for i in range(others)])

    reply = features_pb2.StreamFeaturesResponse.FromString(whole)
    assert (reply.number, reply.response, len(reply.also)) == (7, answer, others)
    assert [(one.number, one.response) for one in reply.also] == [(i, answer) for i in range(others)]
    assert features_pb2.WatchFeaturesResponse.FromString(written.on_watch(raw)).response == answer


def test_a_null_that_hides_a_value_does_not_leave() -> None:
    """What lies under a null in memory is not written."""
    rows = pa.table({"event_time": pa.array([5], TIME), "x": pa.array(np.array([42.5]), mask=np.array([True]))})
    view = replace(VIEWS[0], features=(Feature(name="x"),))
    service = Service(name="s", views=(ServiceView(view="pumps", version="v", features=("x",)),))
    answer = answer_rows(service, [view], join([(Sheet.of(rows), np.array([P], np.int8), ("x",))]), np.array([7]))
    plan = Plan(service=service, views=(view,), versions=("v",), join_keys={})

    raw = written.features(Served(answer=answer, plan=plan, at_us=7), features_pb2.ENCODING_BLOCKS)

    assert np.float64(42.5).tobytes() not in raw
