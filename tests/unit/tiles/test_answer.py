"""The one answer: what a found row is worth at the time asked, value by value."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray

from lineshaft.specs import Feature, OnDemandFeature, OnDemandView, Service, ServiceView, Source, Status, View
from lineshaft.tiles.answer import UNKNOWN_AGE_US, Answer, answer_rows, answer_view
from lineshaft.tiles.joined import join
from lineshaft.tiles.sheet import Sheet

P, NULL, NOT_FOUND, STALE, CORRUPT = Status.PRESENT, Status.NULL, Status.NOT_FOUND, Status.STALE, Status.CORRUPT
VIEW = View(
    name="pump",
    source=Source(name="s", channels=("x",), units=("g",)),
    entity_keys=(("asset_id", "string"),),
    features=(Feature(name="rms"), Feature(name="label", dtype="string")),
    ttl_us=100,
)


def found(*rows: tuple[int | None, float | None, str | None]) -> pa.Table:
    """Return found rows of (event time, rms, label)."""
    events, values, labels = ([row[i] for row in rows] for i in range(3))
    return pa.table(
        {
            "event_time": pa.array(events, pa.timestamp("us", tz="UTC")),
            "rms": pa.array(values, pa.float64()),
            "label": pa.array(labels, pa.string()),
        }
    )


def answered(
    rows: pa.Table, statuses: list[Status], at_us: list[int], *, view: View = VIEW
) -> tuple[list[object], list[object], list[int]]:
    """Return (rms, its statuses, ages) of an answer."""
    times: NDArray[np.int64] = np.array(at_us, dtype=np.int64)
    judged = answer_view(view, view.feature_names, rows, np.array(statuses, dtype=np.int8), times)
    return (
        judged.columns["rms"].to_pylist(),
        [Status(int(s)) for s in judged.status[:, 0]],
        judged.age_us[view.name].tolist(),
    )


def test_every_status_is_told_apart() -> None:
    """Present, null, not found, stale and corrupt stand side by side, each with its age where one is known."""
    rows = found((50, 1.0, "a"), (50, None, "b"), (None, None, None), (49, 4.0, "d"), (None, None, None))

    values, statuses, ages = answered(rows, [P, P, NOT_FOUND, P, CORRUPT], [150] * 5)

    assert values == [1.0, None, None, None, None]
    assert statuses == [P, NULL, NOT_FOUND, STALE, CORRUPT]
    assert ages == [100, 100, UNKNOWN_AGE_US, 101, UNKNOWN_AGE_US]


def test_one_null_does_not_speak_for_its_neighbours() -> None:
    """Each value has its own status, text as well as number."""
    rows = found((50, None, "x"), (50, 2.0, None))
    judged = answer_view(VIEW, VIEW.feature_names, rows, np.array([P, P], dtype=np.int8), np.array([60, 60]))

    assert judged.status.tolist() == [[NULL, P], [P, NULL]]
    assert judged.columns["label"].to_pylist() == ["x", None]


def test_without_a_ttl_nothing_is_ever_stale() -> None:
    """A ttl of 0 is none, as Feast has it."""
    view = View(name="v", source=VIEW.source, entity_keys=VIEW.entity_keys, features=VIEW.features)

    assert answered(found((0, 1.0, "a")), [P], [2**60], view=view) == ([1.0], [P], [2**60])


def test_a_row_ahead_of_the_moment_has_a_negative_age_and_is_not_stale() -> None:
    """A server whose clock is behind says so in the age, rather than hiding the row."""
    assert answered(found((50, 1.0, "a")), [P], [40])[1:] == ([P], [-10])


def test_a_stale_row_without_a_value_is_stale() -> None:
    """What is too old is not looked into."""
    assert answered(found((0, None, None)), [P], [101])[1] == [STALE]


def test_nobody_asked_is_no_error() -> None:
    """No rows, no values, the columns all the same."""
    judged = answer_view(VIEW, VIEW.feature_names, found(), np.array([], dtype=np.int8), np.array([], dtype=np.int64))

    assert (judged.columns.num_rows, judged.status.shape, judged.columns.column_names) == (0, (0, 2), ["rms", "label"])


ONE = View(
    name="one", source=VIEW.source, entity_keys=VIEW.entity_keys, features=(Feature(name="x"),), ttl_us=VIEW.ttl_us
)


Column = tuple[pa.Table, NDArray[np.int8]]


def column(values: list[float | None], statuses: list[Status]) -> Column:
    """Return found rows of one feature, `x`, that come to these statuses at time 200."""
    there = [s in (P, NULL, STALE) for s in statuses]
    events = [
        (0 if s == STALE else 150 + i) if here else None
        for i, (s, here) in enumerate(zip(statuses, there, strict=True))
    ]
    rows = pa.table({"event_time": pa.array(events, pa.timestamp("us", tz="UTC")), "x": pa.array(values, pa.float64())})
    return rows, np.array([P if here else s for s, here in zip(statuses, there, strict=True)], dtype=np.int8)


def answer_of(asked: Service, *columns: Column) -> Answer:
    """Answer a service from what was found of each of its views."""
    parts = [(Sheet.of(rows), status, ("x",)) for rows, status in columns]
    return answer_rows(asked, [ONE] * len(columns), join(parts), np.full(len(columns[0][1]), 200))


def service(*features: OnDemandFeature) -> Service:
    """Return a service over views a and b with on-demand features."""
    views = tuple(ServiceView(view=name, version="v", features=("x",)) for name in ("a", "b"))
    return Service(name="s", views=views, on_demand=(OnDemandView(name="made", features=features),))


RATIO = OnDemandFeature(name="ratio", function="ratio", inputs=("a__x", "b__x"))
ZONE = OnDemandFeature(name="zone", function="severity_zone[iso10816-3:group2:rigid]", inputs=("a__x",), dtype="string")


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        ((6.0, P), (2.0, P), (3.0, P)),
        ((6.0, P), (0.0, P), (None, NULL)),
        ((None, NULL), (2.0, P), (None, NULL)),
        ((None, NULL), (None, STALE), (None, STALE)),
        ((None, NOT_FOUND), (None, STALE), (None, STALE)),
        ((None, NOT_FOUND), (None, CORRUPT), (None, CORRUPT)),
        ((6.0, P), (None, NOT_FOUND), (None, NOT_FOUND)),
    ],
)
def test_a_computed_value_is_worth_its_worst_input(
    left: tuple[float | None, Status], right: tuple[float | None, Status], expected: tuple[float | None, Status]
) -> None:
    """Computed where all inputs are present; else it takes the worst status, and NULL where it is undefined."""
    answer = answer_of(service(RATIO), column([left[0]], [left[1]]), column([right[0]], [right[1]]))

    assert answer.columns.column_names == ["a__x", "b__x", "made__ratio"]
    assert (answer.columns["made__ratio"][0].as_py(), Status(int(answer.status[0, 2]))) == expected


def test_computed_text_has_statuses_like_numbers() -> None:
    """A zone is text where its input is, null with its input's status where it is not."""
    sides = column([0.5, None, 99.0, None], [P, NULL, P, STALE]), column([None] * 4, [NOT_FOUND] * 4)
    answer = answer_of(service(ZONE), *sides)

    assert answer.columns["made__zone"].to_pylist() == ["A", None, "D", None]
    assert [Status(int(s)) for s in answer.status[:, 2]] == [P, NULL, P, STALE]


def test_statuses_are_counted_by_name() -> None:
    """Counts are of values; statuses that do not occur are left out; ages stand by view."""
    answer = answer_of(service(RATIO), column([1.0, None], [P, NULL]), column([2.0, None], [P, STALE]))

    assert answer.counts() == {"present": 3, "null": 1, "stale": 2}
    assert {view: ages.tolist() for view, ages in answer.age_us.items()} == {"a": [50, 49], "b": [50, 200]}


@pytest.mark.parametrize(
    ("left", "right", "whole"),
    [
        ((6.0, P), (2.0, P), True),
        ((6.0, P), (None, NULL), False),
        ((6.0, P), (None, STALE), False),
        ((None, NOT_FOUND), (2.0, P), False),
        ((6.0, P), (None, CORRUPT), False),
    ],
)
def test_an_answer_is_whole_only_if_every_value_is_present(
    left: tuple[float | None, Status], right: tuple[float | None, Status], whole: bool
) -> None:
    """Who relies on `whole` instead of the statuses is told the same."""
    stored = replace(service(), on_demand=())
    answer = answer_of(stored, column([left[0]], [left[1]]), column([right[0]], [right[1]]))

    assert answer.whole is whole
    assert answer.status.tolist() == [[left[1], right[1]]]
