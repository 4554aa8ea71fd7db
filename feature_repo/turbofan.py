"""Turbofan team: 21 channels of a C-MAPSS engine over its last cycles, and its age. One cycle counts as one hour."""

from datetime import timedelta

from feast import StreamFeatureView

from entities import machine
from sources import turbofan_cycles
from windows import fields, rolling

CYCLE = timedelta(hours=1)
CHANNELS = [f"s{number}" for number in range(1, 22)]
MOVING = [f"s{number}" for number in (2, 3, 4, 7, 8, 9, 11, 12, 13, 14, 15, 17, 20, 21)]  # the others stand still

condition = [
    *rolling(CHANNELS, ["mean", "std"], windows=[5 * CYCLE, 10 * CYCLE, 30 * CYCLE], slide=CYCLE),
    *rolling(CHANNELS, ["deviation_from_baseline[10]"], windows=[10 * CYCLE], slide=CYCLE),
    *rolling(MOVING, ["deviation_from_baseline[10]", "slope_per_hour"], windows=[30 * CYCLE], slide=CYCLE),
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
    description="Mean and spread over 5, 10 and 30 cycles; trend, and deviation from the engine's own first 10 cycles.",
)

# A view of its own: its window is as long as a life, and every other feature's would have to be kept as long with it.
flown = rolling(["s2"], ["count"], windows=[600 * CYCLE], slide=CYCLE)

turbofan_age = StreamFeatureView(
    name="turbofan_age",
    entities=[machine],
    source=turbofan_cycles,
    timestamp_field="event_time",
    aggregations=flown,
    schema=fields(flown),
    ttl=timedelta(days=2),
    owner="turbofan@lineshaft.example",
    tags={"team": "turbofan", "lineshaft.grace": "1m", "lineshaft.lateness": "7d"},
    description="Cycles flown since new, up to 600: a clue only where every engine starts new and none is repaired.",
)
