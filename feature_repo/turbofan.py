"""Turbofan team: the 21 C-MAPSS channels of an engine over its last cycles. One cycle counts as one hour."""

from datetime import timedelta

from feast import StreamFeatureView

from entities import machine
from sources import turbofan_cycles
from windows import fields, rolling

CYCLE = timedelta(hours=1)
CHANNELS = [f"s{number}" for number in range(1, 22)]

condition = [
    *rolling(CHANNELS, ["mean", "std"], windows=[5 * CYCLE, 10 * CYCLE, 30 * CYCLE], slide=CYCLE),
    *rolling(CHANNELS, ["deviation_from_baseline[10]"], windows=[10 * CYCLE], slide=CYCLE),
]

turbofan_condition = StreamFeatureView(
    name="turbofan_condition",
    entities=[machine],
    source=turbofan_cycles,
    timestamp_field="event_time",
    aggregations=condition,
    schema=fields(condition),
    ttl=timedelta(days=2),
    owner="turbofan@lineshaft.example",
    tags={"team": "turbofan", "lineshaft.grace": "1m", "lineshaft.lateness": "7d"},
    description="Mean and spread over 5, 10 and 30 cycles; deviation of the last 10 from the engine's own first 10.",
)
