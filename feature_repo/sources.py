"""Raw sources: where samples come from, their channels in payload order, with units.

The stream carries blocks of samples; `lineshaft.channels` names them. The batch source beside each is what Feast asks
for; Lineshaft's offline store answers in its place.
"""

from feast import FileSource, PushSource
from feast.data_format import ParquetFormat


def blocks(name: str, *, channels: str, description: str, owner: str = "platform@lineshaft.example") -> PushSource:
    """Return a source of raw blocks; `channels` reads "temperature [degC], current [A]"."""
    rows = FileSource(
        name=f"{name}_rows",
        path=f"../.lineshaft/offline/{name}",
        file_format=ParquetFormat(),
        timestamp_field="event_time",
        created_timestamp_column="known_at",
        owner=owner,
    )
    return PushSource(
        name=name, batch_source=rows, description=description, owner=owner, tags={"lineshaft.channels": channels}
    )


vibration_blocks = blocks(
    "vibration_blocks",
    channels="acceleration [g]",
    description="Waveform blocks of one accelerometer axis, with shaft speed and bearing geometry where known.",
)

process_readings = blocks(
    "process_readings",
    channels="temperature [degC], current [A], pressure [bar], speed [Hz], ambient [degC]",
    description="Scalar readings of the machine as a whole.",
)

turbofan_cycles = blocks(
    "turbofan_cycles",
    channels=(
        "setting1 [kft], setting2 [Mach], setting3 [deg], s1 [degR], s2 [degR], s3 [degR], s4 [degR], s5 [psia], "
        "s6 [psia], s7 [psia], s8 [rpm], s9 [rpm], s10 [1], s11 [psia], s12 [pps/psi], s13 [rpm], s14 [rpm], s15 [1], "
        "s16 [1], s17 [1], s18 [rpm], s19 [rpm], s20 [lbm/s], s21 [lbm/s]"
    ),
    description="One row per flight of a C-MAPSS engine; a cycle counts as one hour.",
)

sensor_reports = blocks(
    "sensor_reports",
    channels=", ".join(
        [f"{axis}_velocity_rms [count]" for axis in "xyz"]
        + [f"{axis}_{value} [mg]" for value in ("peak", "rms") for axis in "xyz"]
        + [
            f"{axis}_{value} [count]"
            for value in ("kurtosis", "crest_factor", "skewness", "deviation", "displacement")
            for axis in "xyz"
        ]
        + ["temperature [degC]", "battery [V]"]
    ),
    description="Features that LoRaWAN sensors computed themselves, every few minutes.",
)

machine_states = blocks("machine_states", channels="running [1]", description="1 while the machine runs, 0 while not.")

ims_level = blocks(
    "ims_level",
    channels="mean_abs_acceleration [g]",
    description="Mean absolute acceleration per bearing and file of a run-to-failure test.",
)

skab_loop = blocks(
    "skab_loop",
    channels=(
        "accelerometer1_rms [g], accelerometer2_rms [g], current [A], pressure [bar], temperature [degC], "
        "thermocouple [degC], voltage [V], flow_rate_rms [L/min]"
    ),
    description="A water circulation loop, sampled once a second.",
)

ai4i_rows = blocks(
    "ai4i_rows",
    channels="air_temperature [K], process_temperature [K], rotational_speed [rpm], torque [Nm], tool_wear [min]",
    description="A milling process, one row per part.",
)
