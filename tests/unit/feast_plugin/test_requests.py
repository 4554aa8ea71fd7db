"""A Feast call becomes an ad-hoc service: names outside and inside, aliases, and what on-demand views read."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

pytest.importorskip("feast")
from feast import Aggregation, Entity, Field, FileSource, OnDemandFeatureView, ValueType
from feast import FeatureView as FeastView
from feast.protos.feast.serving.ServingService_pb2 import FieldStatus
from feast.types import Float64, Int64, String

from lineshaft.errors import InputError
from lineshaft.feast_plugin.online import _columns
from lineshaft.feast_plugin.requests import FeastRequest, gather, resolve, view_of
from lineshaft.feast_plugin.response import STATUSES, LineshaftOnlineResponse
from lineshaft.feast_plugin.values import key_columns
from lineshaft.specs import Status
from lineshaft.stores.ports import Found

TIME = pa.timestamp("us", tz="UTC")


@pytest.fixture(scope="module")
def lab() -> Any:
    """Return a plain Feast view keyed by a machine, as a registry would hand it over."""
    machine = Entity(name="machine", join_keys=["asset_id"], value_type=ValueType.STRING)
    view = FeastView(
        name="lab",
        entities=[machine],
        schema=[
            Field(name="grade", dtype=Int64),
            Field(name="purity", dtype=Float64, tags={"unit": "%"}),
            Field(name="asset_id", dtype=String),
        ],
        source=FileSource(name="lab_file", path="lab.parquet", timestamp_field="at", created_timestamp_column="made"),
        ttl=timedelta(minutes=10),
    )
    view.last_updated_timestamp = datetime(2026, 1, 1, tzinfo=UTC)
    return view


@pytest.fixture(scope="module")
def excess(lab: Any) -> Any:
    """Return an on-demand view over it."""
    return OnDemandFeatureView(
        name="excess",
        sources=[lab],
        schema=[Field(name="over", dtype=Float64), Field(name="share", dtype=Float64)],
        aggregations=[
            Aggregation(column="lab__purity,lab__grade", function="difference", name="over"),
            Aggregation(column="lab__purity,lab__grade", function="ratio", name="share"),
        ],
    )


def request(lab: Any, excess: Any, *refs: str, full: bool = True) -> FeastRequest:
    """Resolve references to both views."""
    return resolve([(lab, ["grade", "purity", "grade"])], [excess], refs, full_names=full)


def found(*rows: tuple[int | None, float | None, int | None]) -> Found:
    """Return what a store found: (grade, purity, event time)."""
    grades, purities, times = ([row[i] for row in rows] for i in range(3))
    table = pa.table(
        {
            "event_time": pa.array(times, TIME),
            "known_at": pa.array(times, TIME),
            "grade": pa.array(grades, pa.int64()),
            "purity": pa.array(purities, pa.float64()),
        }
    )
    status = [Status.NOT_FOUND if time is None else Status.PRESENT for time in times]
    return Found(rows=table, status=np.array(status, dtype=np.int8))


def test_a_view_of_a_registry_is_compiled_with_its_keys_and_times(lab: Any) -> None:
    """Keys from the view itself, columns of keys are no features, units and the created column are read."""
    view = view_of(lab)

    assert view.entity_keys == (("asset_id", "string"),)
    assert [(f.name, f.dtype, f.unit) for f in view.features] == [("grade", "int64", ""), ("purity", "float64", "%")]
    assert (view.source.kind, view.source.path, view.source.timestamp_field) == ("rows", "lab.parquet", "at")
    assert (view.source.created_field, view.ttl_us) == ("made", 600_000_000)
    assert view_of(lab) is view


def test_what_is_asked_is_answered_and_nothing_besides(lab: Any, excess: Any) -> None:
    """On-demand features not asked for are left out, though their inputs are read; what is read twice is read once."""
    asked = request(lab, excess, "excess:over", "lab:grade")

    assert asked.parts[0].features == ("grade", "purity")
    assert [column.inner for column in asked.columns] == ["excess__over", "lab__grade"]
    assert [(column.dtype, column.part) for column in asked.columns] == [("float64", ""), ("int64", "lab")]
    assert [f.name for view in asked.on_demand for f in view.features] == ["over"]
    assert asked.key_names() == ("asset_id",)


@pytest.mark.parametrize(("full", "names"), [(True, ["lab__grade", "excess__over"]), (False, ["grade", "over"])])
def test_names_outside_are_full_or_short(lab: Any, excess: Any, full: bool, names: list[str]) -> None:
    """As the caller wishes; inside they are always full."""
    asked = request(lab, excess, "lab:grade", "excess:over", full=full)

    assert [column.outer for column in asked.columns] == names
    assert [column.inner for column in asked.columns] == ["lab__grade", "excess__over"]


def test_a_view_nothing_is_asked_of_is_not_read(lab: Any) -> None:
    """Feast lists every view of a service; one without features costs no look-up."""
    assert resolve([(lab, [])], [], [], full_names=True).parts == ()


def test_an_answer_is_judged_as_everywhere(lab: Any, excess: Any) -> None:
    """Fresh, stale, null and unknown rows get Lineshaft's statuses, on-demand features too."""
    asked = request(lab, excess, "lab:grade", "excess:over")
    now = 3_600_000_000

    judged = asked.answer([found((7, 9.5, now), (7, 9.5, 0), (None, 9.5, now), (None, None, None))], np.full(4, now))

    assert judged.columns["lab__grade"].to_pylist() == [7, None, None, None]
    assert judged.columns["excess__over"].to_pylist() == [2.5, None, None, None]
    assert judged.status[:, 0].tolist() == [Status.PRESENT, Status.STALE, Status.NULL, Status.NOT_FOUND]


def test_the_response_speaks_feasts_words(lab: Any, excess: Any) -> None:
    """Statuses by column, keys first, integers beside nulls kept, event times in Feast's own places."""
    asked = request(lab, excess, "lab:grade", full=False)
    now = 3_600_000_000
    rows = found((2**53 + 1, 9.5, now), (None, None, None))
    answer = asked.answer([rows], np.full(2, now))
    keys = pa.table({"asset_id": ["a", "b"]})

    response = LineshaftOnlineResponse(request=asked, keys=keys, answer=answer, found=[rows])

    assert response.statuses == {"asset_id": ["PRESENT", "PRESENT"], "grade": ["PRESENT", "NOT_FOUND"]}
    assert response.to_dict() == {"asset_id": ["a", "b"], "grade": [2**53 + 1, None]}
    assert response.to_dict(include_event_timestamps=True)["grade__ts"] == [3600, 0]
    assert str(response.to_df()["grade"].dtype) == "Int64"
    times = response.to_arrow(include_event_timestamps=True)["grade__ts"]
    assert times.cast(pa.int64()).to_pylist() == [now, None]


def test_every_status_has_a_word_of_feasts() -> None:
    """None is left out; what has no word of its own, a lost store or a constant, shares another's."""
    assert set(STATUSES) == set(Status) - {Status.UNSPECIFIED}
    own = {status: word for status, word in STATUSES.items() if status not in (Status.UNAVAILABLE, Status.IMPUTED)}
    assert len(set(own.values())) == len(own)
    assert STATUSES[Status.UNAVAILABLE] == STATUSES[Status.CORRUPT] == FieldStatus.INVALID
    assert STATUSES[Status.IMPUTED] == FieldStatus.INVALID, "PRESENT would call it a measurement"
    assert STATUSES[Status.STALE] == FieldStatus.OUTSIDE_MAX_AGE


def test_chunks_are_gathered_in_order(lab: Any, excess: Any) -> None:
    """A store answers in pieces; none at all are no rows with the right columns."""
    part = request(lab, excess, "lab:grade").parts[0]

    whole = gather([found((1, 1.0, 1)), found((2, 2.0, 2), (None, None, None))], part)

    assert whole.rows["grade"].to_pylist() == [1, 2, None]
    assert whole.status.tolist() == [Status.PRESENT, Status.PRESENT, Status.NOT_FOUND]
    assert gather([], part).rows.schema.names == ["event_time", "known_at", "grade", "purity"]


@pytest.mark.parametrize(
    ("rows", "columns"),
    [
        ({"asset_id": ["a", "b"]}, {"asset_id": ["a", "b"]}),
        ([{"asset_id": "a"}, {"asset_id": "b"}], {"asset_id": ["a", "b"]}),
        ([{"asset_id": "a"}, {}], {"asset_id": ["a", None]}),
        ([], {"asset_id": []}),
        ({}, {"asset_id": []}),
        (None, {"asset_id": []}),
    ],
    ids=["columns", "rows", "a row short", "no rows", "no columns", "nothing"],
)
def test_entity_rows_come_in_many_forms(rows: Any, columns: dict[str, list[Any]]) -> None:
    """Columns by name or a list of rows; nothing asked is a request for no rows."""
    assert _columns(rows, ["asset_id"]) == columns


def test_keys_of_different_length_are_refused_in_words(lab: Any) -> None:
    """Two machines and one slot are no question."""
    view = view_of(lab)
    twice = type(view)(
        name="v", source=view.source, entity_keys=(("asset_id", "string"), ("slot", "int64")), features=()
    )

    with pytest.raises(InputError, match=r"keys of different length: .*'asset_id': 2, 'slot': 1"):
        key_columns(twice, {"asset_id": ["a", "b"], "slot": [1]})
