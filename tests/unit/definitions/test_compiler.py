"""From Feast objects to specs: what each word of a declaration becomes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("feast")
from lineshaft.definitions.compiler import DTYPES, KEY_DTYPES
from lineshaft.definitions.reader import Definitions, read_repo
from lineshaft.specs import OnDemandView, Service, View
from lineshaft.specs.rows import ARROW_TYPES

REPO = """
from datetime import timedelta
from feast import (
    Aggregation, Entity, FeatureService, FeatureView, Field, FileSource, OnDemandFeatureView, PushSource, RequestSource,
    StreamFeatureView, ValueType,
)
from feast.types import Bool, Float32, Float64, Int32, Int64, String, UnixTimestamp

line = Entity(name="line", join_keys=["line_no"], value_type=ValueType.INT64, owner="a@x")
machine = Entity(name="machine", join_keys=["asset_id"], value_type=ValueType.STRING, owner="a@x")
rows = FileSource(name="readings_rows", path="none.parquet", timestamp_field="event_time")
readings = PushSource(
    name="readings", batch_source=rows, tags={"lineshaft.channels": "current [A], temperature [degC]"}
)
heat = StreamFeatureView(
    name="heat", entities=[machine, line], source=readings, timestamp_field="event_time",
    aggregations=[
        Aggregation(column="temperature", function="mean", name="mean_5m",
                    time_window=timedelta(minutes=5), slide_interval=timedelta(seconds=30)),
        Aggregation(column="current", function="kurtosis", name="kurtosis_1h",
                    time_window=timedelta(hours=1), slide_interval=timedelta(seconds=30)),
        Aggregation(column="current", function="max", name="max_1d",
                    time_window=timedelta(days=1), slide_interval=timedelta(seconds=30)),
    ],
    schema=[Field(name=n, dtype=Float64) for n in ("mean_5m", "kurtosis_1h", "max_1d")],
    ttl=timedelta(days=2, minutes=10, microseconds=7), owner="heat@x", description="How hot.", online=False,
    tags={"team": "process", "lineshaft.grace": "1.5s", "lineshaft.lateness": "2h"},
)
lab = FeatureView(
    name="lab", entities=[machine], owner="lab@x", tags={"team": "lab"}, ttl=timedelta(0),
    schema=[
        Field(name="grade", dtype=String, description="By hand."),
        Field(name="purity", dtype=Float32, tags={"unit": "%"}),
        Field(name="count", dtype=Int32), Field(name="serial", dtype=Int64), Field(name="passed", dtype=Bool),
        Field(name="taken", dtype=UnixTimestamp),
    ],
    source=FileSource(name="lab_file", path="lab.parquet", timestamp_field="at", created_timestamp_column="made",
                      field_mapping={"Reinheit": "purity"}),
)
operator = RequestSource(name="operator", schema=[Field(name="load", dtype=Float32), Field(name="count", dtype=Int64)])
strain = OnDemandFeatureView(
    name="strain", sources=[heat, operator], owner="x@x", tags={"team": "process"},
    schema=[Field(name="per_load", dtype=Float64), Field(name="steps", dtype=Float64)],
    aggregations=[
        Aggregation(column="heat__mean_5m,load", function="ratio", name="per_load"),
        Aggregation(column="count,heat__mean_5m", function="difference", name="steps"),
    ],
)
excess = OnDemandFeatureView(
    name="excess", sources=[heat, lab], owner="x@x", tags={"team": "process"}, description="Too hot.",
    schema=[Field(name="over", dtype=Float64), Field(name="share", dtype=Float64)],
    aggregations=[
        Aggregation(column="heat__max_1d, heat__mean_5m", function="difference", name="over"),
        Aggregation(column="lab__purity,heat__mean_5m", function="ratio", name="share"),
    ],
)
whole = FeatureService(name="whole", features=[heat, lab, excess], owner="s@x", tags={"team": "process"},
                       description="All of it.")
chosen = FeatureService(name="chosen", features=[heat[["max_1d", "mean_5m"]], excess[["over"]]], owner="s@x",
                        tags={"team": "process", "lineshaft.max_age": "10m", "lineshaft.impute": "heat__max_1d=-1",
                              "lineshaft.required": "heat__mean_5m, excess__over"})
loaded = FeatureService(name="loaded", features=[strain[["per_load"]]], owner="s@x", tags={"team": "process"})
pulled = FeatureService(name="pulled", features=[excess], owner="s@x",
                        tags={"team": "process", "readers": "power,lab ,, power"})
"""


@pytest.fixture(scope="module")
def read(tmp_path_factory: pytest.TempPathFactory) -> Definitions:
    """Return what the repository above declares."""
    repo = tmp_path_factory.mktemp("repo") / "feature_repo"
    repo.mkdir()
    (repo / "machines.py").write_text(REPO)
    definitions = read_repo(repo)
    assert [fault.code for fault in definitions.faults] == ["LS-DEF-039"]  # amperes less degrees: a warning
    return definitions


@pytest.fixture
def view(read: Definitions) -> Callable[[str], View]:
    """Return a view by name."""
    return {view.name: view for view in read.views}.__getitem__


@pytest.fixture
def service(read: Definitions) -> Callable[[str], Service]:
    """Return a service by name."""
    return {service.name: service for service in read.services}.__getitem__


@pytest.fixture
def demand(read: Definitions) -> OnDemandView:
    """Return the on-demand view that reads features alone."""
    return next(view for view in read.on_demand if view.name == "excess")


def test_times_are_microseconds(view: Callable[[str], View]) -> None:
    """Slide, grace, lateness, windows and time to live, days and microseconds included."""
    heat = view("heat")

    assert (heat.tile_us, heat.grace_us, heat.lateness_us) == (30_000_000, 1_500_000, 7_200_000_000)
    assert heat.ttl_us == 2 * 86_400_000_000 + 600_000_000 + 7
    assert [feature.window_us for feature in heat.features] == [300_000_000, 3_600_000_000, 86_400_000_000]


def test_a_feature_names_its_function_channel_and_unit(view: Callable[[str], View]) -> None:
    """The unit is the function's: its channel's where it keeps it, 1 where it is a ratio of moments."""
    heat = view("heat")

    assert [(f.name, f.column, f.function, f.unit, f.dtype) for f in heat.features] == [
        ("mean_5m", "temperature", "mean", "degC", "float64"),
        ("kurtosis_1h", "current", "kurtosis", "1", "float64"),
        ("max_1d", "current", "max", "A", "float64"),
    ]


def test_a_source_keeps_the_order_of_its_channels(view: Callable[[str], View]) -> None:
    """It is the order of the payload."""
    source = view("heat").source

    assert (source.name, source.kind, source.channels, source.units) == (
        "readings",
        "blocks",
        ("current", "temperature"),
        ("A", "degC"),
    )


def test_keys_are_join_keys_in_declared_order(view: Callable[[str], View]) -> None:
    """By the name of the column, with the type of the entity."""
    assert view("heat").entity_keys == (("asset_id", "string"), ("line_no", "int64"))
    assert view("lab").entity_keys == (("asset_id", "string"),)


def test_words_about_a_view_are_kept(view: Callable[[str], View]) -> None:
    """Team, owner, prose, place, tags, and whether it is served."""
    heat = view("heat")

    assert (heat.team, heat.owner, heat.description, heat.online) == ("process", "heat@x", "How hot.", False)
    assert heat.where == f"feature_repo/machines.py:{REPO[: REPO.index('heat = ')].count(chr(10)) + 1}"
    assert dict(heat.tags)["lineshaft.grace"] == "1.5s"
    assert view("lab").online


def test_code_behind_a_view_is_named_with_its_version(view: Callable[[str], View]) -> None:
    """Functions and aggregators once each, by name; a view computed elsewhere has none of ours."""
    names = [name for name, _ in view("heat").code_versions]

    assert names == sorted(set(names))
    assert {"mean", "kurtosis", "max"} <= set(names)
    assert view("lab").code_versions == ()


def test_rows_made_elsewhere_are_read_as_declared(view: Callable[[str], View]) -> None:
    """Path, both time columns, the columns of renamed fields, types, units and prose; known when they say so."""
    lab = view("lab")

    assert (lab.source.kind, lab.source.path) == ("rows", "lab.parquet")
    assert (lab.source.timestamp_field, lab.source.created_field) == ("at", "made")
    assert [(f.name, f.column, f.dtype, f.unit) for f in lab.features] == [
        ("grade", "grade", "string", ""),
        ("purity", "Reinheit", "float32", "%"),
        ("count", "count", "int32", ""),
        ("serial", "serial", "int64", ""),
        ("passed", "passed", "bool", ""),
        ("taken", "taken", "timestamp", ""),
    ]
    assert (lab.grace_us, lab.lateness_us, lab.ttl_us) == (0, 0, 0)
    assert lab.features[0].description == "By hand."


def test_an_on_demand_feature_names_what_it_reads(demand: OnDemandView) -> None:
    """Inputs in order, blanks aside; the unit of a difference is its first input's, a ratio has none."""
    assert [(f.name, f.function, f.inputs, f.unit) for f in demand.features] == [
        ("over", "difference", ("heat__max_1d", "heat__mean_5m"), "A"),
        ("share", "ratio", ("lab__purity", "heat__mean_5m"), "1"),
    ]
    assert (demand.team, demand.owner, demand.description) == ("process", "x@x", "Too hot.")


def test_a_service_of_whole_views_has_all_their_features(
    service: Callable[[str], Service], view: Callable[[str], View], demand: OnDemandView
) -> None:
    """In declared order, each view at the version it was read at."""
    whole = service("whole")

    assert [(v.view, v.version, v.features) for v in whole.views] == [
        (name, view(name).version, view(name).feature_names) for name in ("heat", "lab")
    ]
    assert whole.on_demand == (demand,)
    assert (whole.team, whole.owner, whole.description) == ("process", "s@x", "All of it.")


def test_a_service_of_chosen_features_has_those(service: Callable[[str], Service]) -> None:
    """In the order chosen; of an on-demand view only what was named, and nothing it does not read."""
    chosen = service("chosen")

    assert [(v.view, v.features) for v in chosen.views] == [("heat", ("max_1d", "mean_5m"))]
    assert [f.name for d in chosen.on_demand for f in d.features] == ["over"]
    assert (chosen.max_age_us, chosen.required) == (600_000_000, ("excess__over", "heat__mean_5m"))
    assert chosen.impute == (("heat__max_1d", -1.0),)
    assert isinstance(chosen.impute[0][1], float), "of the column's type, as it is written or not"
    assert (service("whole").max_age_us, service("whole").required, service("whole").impute) == (0, (), ())


def test_what_on_demand_features_read_is_part_of_the_service(service: Callable[[str], Service]) -> None:
    """Asked for or not: an answer must be explainable from itself."""
    pulled = service("pulled")

    assert [(v.view, v.features) for v in pulled.views] == [("heat", ("max_1d", "mean_5m")), ("lab", ("purity",))]


def test_what_is_read_of_the_request_is_part_of_the_service(
    read: Definitions, service: Callable[[str], Service], demand: OnDemandView
) -> None:
    """The view names all of its fields with their types, a service those that its features read."""
    strain = next(view for view in read.on_demand if view.name == "strain")

    assert strain.request_fields == (("load", "float32"), ("count", "int64"))
    assert [(f.inputs, f.features_read) for f in strain.features] == [
        (("heat__mean_5m", "load"), ("heat__mean_5m",)),
        (("count", "heat__mean_5m"), ("heat__mean_5m",)),
    ]
    assert service("loaded").request_fields == {"load": "float32"}
    assert [(v.view, v.features) for v in service("loaded").views] == [("heat", ("mean_5m",))]
    assert demand.request_fields == ()
    assert service("whole").request_fields == {}


def test_every_type_of_ours_has_its_name_in_feast() -> None:
    """None is unreachable, and keys are of types that have one spelling."""
    assert set(DTYPES.values()) == set(ARROW_TYPES)
    assert sorted(KEY_DTYPES.values()) == ["int32", "int64", "string"]


def test_reading_twice_is_the_same_version(read: Definitions, tmp_path: Path) -> None:
    """A version follows from the text alone, not from where or when it is read."""
    repo = tmp_path / "elsewhere"
    repo.mkdir()
    (repo / "other_name.py").write_text("# moved\n\n" + REPO)

    again = read_repo(repo)

    assert [v.ref for v in again.views] == [v.ref for v in read.views]
    assert [s.version for s in again.services] == [s.version for s in read.services]
    assert [d.version for d in again.on_demand] == [d.version for d in read.on_demand]


def test_a_service_names_the_teams_that_may_read_it(read: Definitions) -> None:
    """Once each and sorted, so that the order in which somebody wrote them changes nothing; none unless named."""
    assert {service.name: service.readers for service in read.services} == {
        "whole": (),
        "chosen": (),
        "loaded": (),
        "pulled": ("lab", "power"),
    }
