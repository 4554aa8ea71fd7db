"""Checks at their limits: what is just allowed, what just is not, and what a fault takes down with it."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("feast")
from lineshaft.definitions.reader import Definitions, read_repo

REPO = """
from datetime import timedelta
from feast import (
    Aggregation, Entity, FeatureService, FeatureView, Field, FileSource, OnDemandFeatureView, PushSource, RequestSource,
    StreamFeatureView, ValueType,
)
from feast.types import Float32, Float64, Int64, String

machine = Entity(name="machine", join_keys=["asset_id"], value_type=ValueType.STRING, owner="a@x")
rows = FileSource(name="readings_rows", path="none.parquet", timestamp_field="event_time")
readings = PushSource(
    name="readings", batch_source=rows, tags={"lineshaft.channels": "x [g]", "lineshaft.rate_hz": "1000"}
)
heat = StreamFeatureView(
    name="heat", entities=[machine], source=readings, timestamp_field="event_time",
    aggregations=[Aggregation(column="x", function="mean", name="level",
                              time_window=timedelta(minutes=5), slide_interval=timedelta(minutes=1))],
    schema=[Field(name="level", dtype=Float64)],
    ttl=timedelta(seconds=90), owner="a@x", tags={"team": "a", "lineshaft.grace": "30s"},
)
lab = FeatureView(
    name="lab", entities=[machine], owner="a@x", tags={"team": "a"},
    schema=[Field(name="purity", dtype=Float64, tags={"unit": "%"})],
    source=FileSource(name="lab_file", path="lab.parquet", timestamp_field="at"),
)
operator = RequestSource(name="operator", schema=[Field(name="load", dtype=Float64), Field(name="count", dtype=Int64)])
other = RequestSource(name="other", schema=[Field(name="load", dtype=Float32)])
strain = OnDemandFeatureView(
    name="strain", sources=[heat, operator], schema=[Field(name="per_load", dtype=Float64)], owner="a@x",
    tags={"team": "a"}, aggregations=[Aggregation(column="heat__level,load", function="ratio", name="per_load")],
)
excess = OnDemandFeatureView(
    name="excess", sources=[heat, lab], schema=[Field(name="over", dtype=Float64)], owner="a@x", tags={"team": "a"},
    aggregations=[Aggregation(column="heat__level,lab__purity", function="ratio", name="over")],
)
health = FeatureService(name="health", features=[heat, excess], owner="a@x", tags={"team": "a"})
bench = FeatureService(name="bench", features=[lab], owner="a@x", tags={"team": "a"})
"""
WINDOW, SLIDE, TTL = (
    "time_window=timedelta(minutes=5)",
    "slide_interval=timedelta(minutes=1)",
    "ttl=timedelta(seconds=90)",
)
MEAN, COLUMN = 'function="mean"', 'column="heat__level,lab__purity"'


def read(folder: Path, *changes: tuple[str, str]) -> Definitions:
    """Read the repository above with some words changed."""
    text = REPO
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    repo = folder / "feature_repo"
    repo.mkdir()
    (repo / "machines.py").write_text(text)
    return read_repo(repo)


ALLOWED: dict[str, tuple[tuple[str, str], ...]] = {
    "as it stands": (),
    "a ttl of slide and grace": ((TTL, "ttl=timedelta(seconds=90)"),),
    "no ttl": ((TTL, "ttl=timedelta(0)"),),
    "a window of one slide": ((WINDOW, "time_window=timedelta(minutes=1)"),),
    "a band that ends at half the rate": ((MEAN, 'function="band_power[10-500Hz]"'),),
    "a band where no rate is stated": (
        (MEAN, 'function="band_power[10-800Hz]"'),
        (', "lineshaft.rate_hz": "1000"', ""),
    ),
    "a rate in words": (
        (MEAN, 'function="band_power[10-800Hz]"'),
        ('"lineshaft.rate_hz": "1000"', '"lineshaft.rate_hz": "fast"'),
    ),
    "no slide, which is a slide of the window": ((f"{WINDOW}, {SLIDE}", WINDOW), (TTL, "ttl=timedelta(0)")),
    "no grace": (('"lineshaft.grace": "30s"', '"x": "y"'),),
    "a field without a unit": ((', tags={"unit": "%"})]', ")]"),),
}


@pytest.mark.parametrize("what", ALLOWED)
def test_what_is_just_allowed_has_no_fault(tmp_path: Path, what: str) -> None:
    """Limits belong to what they limit."""
    definitions = read(tmp_path, *ALLOWED[what])

    assert [str(fault) for fault in definitions.faults] == []
    assert [view.name for view in definitions.views] == ["heat", "lab"]


REFUSED: dict[str, tuple[tuple[tuple[str, str], ...], str, str]] = {
    "a ttl a microsecond short": (
        ((TTL, "ttl=timedelta(seconds=89, microseconds=999_999)"),),
        "LS-DEF-017",
        "shorter than slide and grace, 90s",
    ),
    "a window of half a slide": (
        ((WINDOW, "time_window=timedelta(seconds=30)"),),
        "LS-DEF-014",
        "use 1m, or a slide that divides 30s",
    ),
    "a window a microsecond too long": (
        ((WINDOW, "time_window=timedelta(minutes=5, microseconds=1)"),),
        "LS-DEF-014",
        "use 5m or 6m",
    ),
    "a negative window": (((WINDOW, "time_window=timedelta(minutes=-5)"),), "LS-DEF-016", "no window or slide above 0"),
    "a lateness in words": (
        (('"lineshaft.grace": "30s"', '"lineshaft.lateness": "a week"'),),
        "LS-DEF-018",
        "tag lineshaft.lateness",
    ),
    "a band just above half the rate": (((MEAN, 'function="band_power[10-500.5Hz]"'),), "LS-DEF-030", "half the rate"),
    "an input of no source": (((COLUMN, 'column="heat__level,labs__purity"'),), "LS-DEF-020", "did you mean lab?"),
    "an input of a view that is no source": (
        (("sources=[heat, lab]", "sources=[heat]"),),
        "LS-DEF-020",
        "add lab to its sources",
    ),
    "an input that does not exist": (
        ((COLUMN, 'column="heat__level,lab__puritty"'),),
        "LS-DEF-020",
        "did you mean purity?",
    ),
    "an input that neither a view nor the request has": (
        (('column="heat__level,load"', 'column="heat__level,laod"'),),
        "LS-DEF-020",
        'a RequestSource with a field "laod"',
    ),
    "a feature of the request alone": (
        (('column="heat__level,load"', 'column="count,load"'),),
        "LS-DEF-020",
        "nothing but the request",
    ),
    "a text in the request": (
        (('Field(name="load", dtype=Float64)', 'Field(name="load", dtype=String)'),),
        "LS-DEF-034",
        "no number",
    ),
    "a field called like a key": (
        (('Field(name="count", dtype=Int64)', 'Field(name="asset_id", dtype=Int64)'),),
        "LS-DEF-034",
        "called like a key",
    ),
    "a field called like a time": (
        (('Field(name="count", dtype=Int64)', 'Field(name="known_at", dtype=Int64)'),),
        "LS-DEF-034",
        "called like a key, a time",
    ),
    "a field called like a feature": (
        (('Field(name="count", dtype=Int64)', 'Field(name="heat__level", dtype=Int64)'),),
        "LS-DEF-034",
        "or a feature",
    ),
    "a field of two types": (
        (("sources=[heat, lab]", "sources=[heat, lab, other]"),),
        "LS-DEF-034",
        "is Float32 here and Float64 elsewhere",
    ),
    "an input too many": (((COLUMN, 'column="heat__level,lab__purity,heat__level"'),), "LS-DEF-022", "2 inputs, not 3"),
    "a feature of a view that it has not": (
        (("features=[lab]", 'features=[lab, "heat:levle"]'),),
        "LS-DEF-023",
        "did you mean level?",
    ),
    "a feature with two underscores": (
        (('Field(name="purity"', 'Field(name="pu__rity"'), (COLUMN, 'column="heat__level,heat__level"')),
        "LS-DEF-027",
        '"pu__rity"',
    ),
    "a service with a dash": ((('name="bench"', 'name="be-nch"'),), "LS-DEF-027", 'service name "be-nch"'),
    "an unknown unit of a field": (
        (('{"unit": "%"}', '{"unit": "percent"}'),),
        "LS-DEF-010",
        'unit "percent" of feature "purity"',
    ),
    "a field too many": (
        (
            (
                '[Field(name="over", dtype=Float64)]',
                '[Field(name="over", dtype=Float64), Field(name="under", dtype=Float64)]',
            ),
        ),
        "LS-DEF-019",
        "one Field per aggregation",
    ),
    "a service without an owner": (
        (('features=[lab], owner="a@x"', "features=[lab]"),),
        "LS-DEF-005",
        'service "bench" has no owner',
    ),
    "an entity without an owner": (
        (('value_type=ValueType.STRING, owner="a@x"', "value_type=ValueType.STRING"),),
        "LS-DEF-005",
        'entity "machine" has no owner',
    ),
    "an on-demand view without a team": (
        (('owner="a@x", tags={"team": "a"},\n    aggregations', 'owner="a@x",\n    aggregations'),),
        "LS-DEF-006",
        'on-demand view "excess" has no team',
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_just_not_allowed_has_its_one_fault(tmp_path: Path, what: str) -> None:
    """One mistake is one fault, with its code, its words and its cure."""
    changes, code, text = REFUSED[what]

    faults = read(tmp_path, *changes).faults

    assert {fault.code for fault in faults} == {code}, [str(fault) for fault in faults]
    assert text in str(faults[0])


DEPENDENTS: dict[str, tuple[tuple[str, str], tuple[list[str], list[str], list[str]]]] = {
    "a view": ((MEAN, 'function="meen"'), (["lab"], [], ["bench"])),
    "its source": (("x [g]", "x [gg]"), (["lab"], [], ["bench"])),
    "the entity": (("value_type=ValueType.STRING", "value_type=ValueType.DOUBLE"), ([], [], [])),
    "another view": (
        ('dtype=Float64, tags={"unit": "%"}', 'dtype=Float64, tags={"unit": "%%"}'),
        (["heat"], ["strain"], []),
    ),
    "an on-demand view": (('"ratio", name="over"', '"diff", name="over"'), (["heat", "lab"], ["strain"], ["bench"])),
    "a service": (
        ('name="bench", features', 'name="ben-ch", features'),
        (["heat", "lab"], ["strain", "excess"], ["health"]),
    ),
}


@pytest.mark.parametrize("what", DEPENDENTS)
def test_what_stands_on_a_fault_is_left_out_with_it(tmp_path: Path, what: str) -> None:
    """Views, on-demand views and services that need a faulty object are not compiled; all others are."""
    change, (views, on_demand, services) = DEPENDENTS[what]

    definitions = read(tmp_path, change)

    assert [view.name for view in definitions.views] == views
    assert [view.name for view in definitions.on_demand] == on_demand
    assert [service.name for service in definitions.services] == services


def test_faults_come_in_order_of_their_place(tmp_path: Path) -> None:
    """By file and line as numbers, each once."""
    faults = read(
        tmp_path,
        (MEAN, 'function="meen"'),
        ("x [g]", "x [gg]"),
        ('name="bench"', 'name="be-nch"'),
        (TTL, "ttl=timedelta(1e-6)"),
    ).faults

    lines = [int(fault.where.rpartition(":")[2]) for fault in faults]
    assert lines == sorted(lines)
    assert len(set(faults)) == len(faults) >= 4
