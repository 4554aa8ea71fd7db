"""Vibration team: condition of bearings and shafts from waveform blocks."""

from datetime import timedelta

from feast import StreamFeatureView

from entities import machine, position
from sources import ims_level, vibration_blocks
from windows import fields, rolling

TEAM = {"team": "vibration", "lineshaft.grace": "30s", "lineshaft.lateness": "7d"}
OWNER = "vibration@lineshaft.example"

TIME_DOMAIN = [
    "rms",
    "std",
    "skewness",
    "kurtosis",
    "peak",
    "peak_to_peak",
    "crest_factor",
    "shape_factor",
    "impulse_factor",
    "clearance_factor",
    "velocity_rms[10-1000Hz]",
    "coverage",
]
SPECTRUM = [
    "band_power[0-2000Hz]",
    "band_power[2000-5000Hz]",
    "band_power[5000-10000Hz]",
    "spectral_centroid",
    "dominant_frequency[1]",
    "dominant_frequency[2]",
    "dominant_frequency[3]",
    "dominant_amplitude[1]",
    "dominant_amplitude[2]",
    "dominant_amplitude[3]",
]
BEARING = [f"envelope_ratio[{line}]" for line in ("bpfo", "bpfi", "bsf", "2bsf", "ftf")]  # line over background
WAVELET = [f"wavelet_energy[{node}]" for node in range(8)]

condition = rolling(["acceleration"], TIME_DOMAIN + SPECTRUM + BEARING + WAVELET)

vibration_condition = StreamFeatureView(
    name="vibration_condition",
    entities=[machine, position],
    source=vibration_blocks,
    timestamp_field="event_time",
    aggregations=condition,
    schema=fields(condition),
    ttl=timedelta(minutes=10),
    owner=OWNER,
    tags=TEAM,
    description="Level, shape, spectrum, bearing lines and wavelet energies of acceleration over 1 min, 5 min and 1 h.",
)

fast = rolling(
    ["acceleration"],
    ["band_power[5000-15000Hz]", "band_power[0-2000Hz]"],
    windows=[timedelta(seconds=10)],
    slide=timedelta(seconds=10),
)

vibration_fast = StreamFeatureView(
    name="vibration_fast",
    entities=[machine, position],
    source=vibration_blocks,
    timestamp_field="event_time",
    aggregations=fast,
    schema=fields(fast),
    ttl=timedelta(minutes=1),
    owner=OWNER,
    tags={**TEAM, "lineshaft.grace": "5s"},
    description="Band powers of the last 10 s: impacts show in the high band long before the level rises.",
)

level = rolling(
    ["mean_abs_acceleration"],
    ["last", "mean", "std", "max"],
    windows=[timedelta(minutes=10), timedelta(hours=1), timedelta(hours=24)],
    slide=timedelta(minutes=10),
)

bearing_level = StreamFeatureView(
    name="bearing_level",
    entities=[machine, position],
    source=ims_level,
    timestamp_field="event_time",
    aggregations=level,
    schema=fields(level),
    ttl=timedelta(hours=2),
    owner=OWNER,
    tags=TEAM,
    description="Slow level of a bearing that is measured once in ten minutes.",
)

# Views of their own: a baseline is kept as long as its entity, and only these models ask for one.
changed = rolling(
    ["mean_abs_acceleration"],
    ["sigmas_from_baseline[144]"],
    windows=[timedelta(hours=1)],
    slide=timedelta(minutes=10),
)

bearing_change = StreamFeatureView(
    name="bearing_change",
    entities=[machine, position],
    source=ims_level,
    timestamp_field="event_time",
    aggregations=changed,
    schema=fields(changed),
    ttl=timedelta(hours=2),
    owner=OWNER,
    tags=TEAM,
    description="How far the level of a bearing has moved from its own first day, in spreads of that day.",
)

louder = rolling(["acceleration"], ["rms_over_baseline[10]"], windows=[timedelta(minutes=1), timedelta(minutes=5)])

vibration_change = StreamFeatureView(
    name="vibration_change",
    entities=[machine, position],
    source=vibration_blocks,
    timestamp_field="event_time",
    aggregations=louder,
    schema=fields(louder),
    ttl=timedelta(minutes=10),
    owner=OWNER,
    tags=TEAM,
    description="How many times louder a sensor is than in its own first ten minutes.",
)
