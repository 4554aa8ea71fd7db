"""Process team: what the machine as a whole does, from scalar readings."""

from datetime import timedelta

from feast import StreamFeatureView

from entities import machine, position
from sources import ai4i_rows, machine_states, process_readings, sensor_reports, skab_loop
from windows import fields, rolling

TEAM = {"team": "process", "lineshaft.grace": "30s", "lineshaft.lateness": "7d"}
OWNER = "process@lineshaft.example"
STATISTICS = ["mean", "std", "min", "max", "last", "slope_per_hour"]

condition = rolling(["temperature", "current", "pressure", "speed", "ambient"], STATISTICS)

process_condition = StreamFeatureView(
    name="process_condition",
    entities=[machine],
    source=process_readings,
    timestamp_field="event_time",
    aggregations=condition,
    schema=fields(condition),
    ttl=timedelta(minutes=15),
    owner=OWNER,
    tags=TEAM,
    description="Temperature, current, pressure, speed and ambient temperature over 1 min, 5 min and 1 h.",
)

running = rolling(["running"], ["mean", "last"], windows=[timedelta(hours=1), timedelta(hours=24)])

machine_running = StreamFeatureView(
    name="machine_running",
    entities=[machine],
    source=machine_states,
    timestamp_field="event_time",
    aggregations=running,
    schema=fields(running),
    ttl=timedelta(days=2),
    owner=OWNER,
    tags=TEAM,
    description="Share of time a machine ran.",
)

reported = rolling(
    [f"{axis}_{value}" for value in ("velocity_rms", "peak", "rms", "kurtosis", "crest_factor") for axis in "xyz"]
    + ["temperature", "battery"],
    ["last", "mean", "max"],
    windows=[timedelta(hours=1), timedelta(hours=24)],
    slide=timedelta(minutes=10),
)

sensor_condition = StreamFeatureView(
    name="sensor_condition",
    entities=[machine, position],
    source=sensor_reports,
    timestamp_field="event_time",
    aggregations=reported,
    schema=fields(reported),
    ttl=timedelta(hours=24),
    owner=OWNER,
    tags={**TEAM, "lineshaft.grace": "5m"},
    description="What LoRaWAN sensors report of themselves, over an hour and a day.",
)

LOOP = [
    "accelerometer1_rms",
    "accelerometer2_rms",
    "current",
    "pressure",
    "temperature",
    "thermocouple",
    "voltage",
    "flow_rate_rms",
]
loop = rolling(
    LOOP,
    ["mean", "std", "min", "max"],
    windows=[timedelta(seconds=10), timedelta(minutes=1)],
    slide=timedelta(seconds=10),
)

loop_condition = StreamFeatureView(
    name="loop_condition",
    entities=[machine],
    source=skab_loop,
    timestamp_field="event_time",
    aggregations=loop,
    schema=fields(loop),
    ttl=timedelta(minutes=5),
    owner=OWNER,
    tags={**TEAM, "lineshaft.grace": "5s"},
    description="A water circulation loop over 10 s and 1 min.",
)

moved = rolling(LOOP, ["sigmas_from_baseline[39]"], windows=[timedelta(seconds=10)], slide=timedelta(seconds=10))

loop_change = StreamFeatureView(
    name="loop_change",
    entities=[machine],
    source=skab_loop,
    timestamp_field="event_time",
    aggregations=moved,
    schema=fields(moved),
    ttl=timedelta(minutes=5),
    owner=OWNER,
    tags={**TEAM, "lineshaft.grace": "1s"},
    description="How far a water loop has moved from its own first six and a half minutes, in spreads of these.",
)

milling = rolling(
    ["air_temperature", "process_temperature", "rotational_speed", "torque", "tool_wear"],
    ["mean", "max", "last"],
    windows=[timedelta(minutes=1), timedelta(hours=1)],
)

milling_condition = StreamFeatureView(
    name="milling_condition",
    entities=[machine],
    source=ai4i_rows,
    timestamp_field="event_time",
    aggregations=milling,
    schema=fields(milling),
    ttl=timedelta(hours=1),
    owner=OWNER,
    tags=TEAM,
    description="A milling process: heat, speed, torque and tool wear.",
)
