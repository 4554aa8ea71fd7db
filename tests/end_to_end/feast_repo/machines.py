"""One plain view over a Parquet file, one computed view, one on-demand view."""

from datetime import timedelta
from typing import Any

from feast import (
    Aggregation,
    Entity,
    FeatureService,
    FeatureView,
    Field,
    FileSource,
    OnDemandFeatureView,
    PushSource,
    RequestSource,
    StreamFeatureView,
    ValueType,
)
from feast.types import Float32, Float64, Int64, String, UnixTimestamp

OWNED: dict[str, Any] = {"owner": "a@lineshaft.example", "tags": {"team": "a"}}
machine = Entity(name="machine", join_keys=["asset_id"], value_type=ValueType.STRING, owner="a@lineshaft.example")
file = FileSource(name="lab", path="lab.parquet", timestamp_field="at", created_timestamp_column="created")
lab = FeatureView(
    name="lab",
    entities=[machine],
    source=file,
    ttl=timedelta(hours=1),
    **OWNED,
    schema=[
        Field(name="level", dtype=Float32, tags={"unit": "mm/s"}),
        Field(name="serial", dtype=Int64),
        Field(name="grade", dtype=String),
        Field(name="serviced", dtype=UnixTimestamp),
    ],
)
readings = PushSource(
    name="readings",
    tags={"lineshaft.channels": "temperature [degC]"},
    batch_source=FileSource(name="readings_rows", path="none.parquet", timestamp_field="event_time"),
)
windows = [
    Aggregation(
        column="temperature",
        function=function,
        name=f"{function}_1m",
        time_window=timedelta(minutes=1),
        slide_interval=timedelta(minutes=1),
    )
    for function in ("mean", "max")
]
heat = StreamFeatureView(
    name="heat",
    entities=[machine],
    source=readings,
    timestamp_field="event_time",
    aggregations=windows,
    schema=[Field(name=w.name, dtype=Float64) for w in windows],
    ttl=timedelta(days=1),
    **OWNED,
)
excess = OnDemandFeatureView(
    name="excess",
    sources=[heat],
    schema=[Field(name="peak_over_mean", dtype=Float64)],
    **OWNED,
    aggregations=[Aggregation(column="heat__max_1m,heat__mean_1m", function="difference", name="peak_over_mean")],
)
operator = RequestSource(name="operator", schema=[Field(name="expected", dtype=Float64)])
surplus = OnDemandFeatureView(
    name="surplus",
    sources=[heat, operator],
    schema=[Field(name="over", dtype=Float64)],
    **OWNED,
    aggregations=[Aggregation(column="heat__mean_1m,expected", function="difference", name="over")],
)
health = FeatureService(name="health", features=[lab, heat, excess], **OWNED)
