"""The raw sources that the readers and the simulator fill: names, channels in payload order, units."""

from __future__ import annotations

from lineshaft.specs import Source

_CMAPSS: tuple[tuple[str, str], ...] = (
    ("setting1", "kft"),  # altitude
    ("setting2", "Mach"),
    ("setting3", "deg"),  # throttle resolver angle
    ("s1", "degR"),  # T2, total temperature at fan inlet
    ("s2", "degR"),  # T24, at LPC outlet
    ("s3", "degR"),  # T30, at HPC outlet
    ("s4", "degR"),  # T50, at LPT outlet
    ("s5", "psia"),  # P2
    ("s6", "psia"),  # P15
    ("s7", "psia"),  # P30
    ("s8", "rpm"),  # Nf
    ("s9", "rpm"),  # Nc
    ("s10", "1"),  # epr
    ("s11", "psia"),  # Ps30
    ("s12", "pps/psi"),  # phi
    ("s13", "rpm"),  # NRf
    ("s14", "rpm"),  # NRc
    ("s15", "1"),  # BPR
    ("s16", "1"),  # farB
    ("s17", "1"),  # htBleed
    ("s18", "rpm"),  # Nf_dmd
    ("s19", "rpm"),  # PCNfR_dmd
    ("s20", "lbm/s"),  # W31
    ("s21", "lbm/s"),  # W32
)

_LORA: tuple[tuple[str, str], ...] = (
    ("x_velocity_rms", "count"),  # counts as sent: looks like 0.01 mm/s, not confirmed
    ("y_velocity_rms", "count"),
    ("z_velocity_rms", "count"),
    ("x_peak", "mg"),
    ("y_peak", "mg"),
    ("z_peak", "mg"),
    ("x_rms", "mg"),
    ("y_rms", "mg"),
    ("z_rms", "mg"),
    ("x_kurtosis", "count"),
    ("y_kurtosis", "count"),
    ("z_kurtosis", "count"),
    ("x_crest_factor", "count"),
    ("y_crest_factor", "count"),
    ("z_crest_factor", "count"),
    ("x_skewness", "count"),
    ("y_skewness", "count"),
    ("z_skewness", "count"),
    ("x_deviation", "count"),
    ("y_deviation", "count"),
    ("z_deviation", "count"),
    ("x_displacement", "count"),
    ("y_displacement", "count"),
    ("z_displacement", "count"),
    ("temperature", "degC"),
    ("battery", "V"),
)


def _source(name: str, *channels: tuple[str, str]) -> Source:
    """Return a source of blocks from (channel, unit) pairs."""
    return Source(name=name, channels=tuple(c for c, _ in channels), units=tuple(u for _, u in channels))


SOURCES: dict[str, Source] = {
    source.name: source
    for source in (
        _source("vibration_blocks", ("acceleration", "g")),
        _source(
            "process_readings",
            ("temperature", "degC"),
            ("current", "A"),
            ("pressure", "bar"),
            ("speed", "Hz"),
            ("ambient", "degC"),
        ),
        _source("turbofan_cycles", *_CMAPSS),
        _source("sensor_reports", *_LORA),
        _source("machine_states", ("running", "1")),
        _source("ims_level", ("mean_abs_acceleration", "g")),
        _source(
            "skab_loop",
            ("accelerometer1_rms", "g"),
            ("accelerometer2_rms", "g"),
            ("current", "A"),
            ("pressure", "bar"),
            ("temperature", "degC"),
            ("thermocouple", "degC"),
            ("voltage", "V"),
            ("flow_rate_rms", "L/min"),
        ),
        _source(
            "ai4i_rows",
            ("air_temperature", "K"),
            ("process_temperature", "K"),
            ("rotational_speed", "rpm"),
            ("torque", "Nm"),
            ("tool_wear", "min"),
        ),
    )
}
"""Every raw source by name. A reader fills channels it lacks with NaN: not measured."""
