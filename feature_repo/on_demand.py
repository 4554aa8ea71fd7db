"""Features computed from other features of the same answer, by named functions: no code is stored anywhere."""

from feast import Aggregation, Field, OnDemandFeatureView
from feast.types import Float64, String

from process import process_condition
from vibration import vibration_condition, vibration_fast

impact_energy = OnDemandFeatureView(
    name="impact_energy",
    sources=[vibration_fast],
    schema=[Field(name="energy_ratio_10s", dtype=Float64)],
    aggregations=[
        Aggregation(
            column="vibration_fast__acceleration_band_power_5000_15000hz_10s,"
            "vibration_fast__acceleration_band_power_0_2000hz_10s",
            function="ratio",
            name="energy_ratio_10s",
        )
    ],
    owner="vibration@lineshaft.example",
    tags={"team": "vibration"},
    description="Energy of 5-15 kHz over 0-2 kHz in the last 10 s.",
)

heating = OnDemandFeatureView(
    name="heating",
    sources=[process_condition],
    schema=[Field(name="rise_over_ambient_5m", dtype=Float64)],
    aggregations=[
        Aggregation(
            column="process_condition__temperature_mean_5m,process_condition__ambient_mean_5m",
            function="difference",
            name="rise_over_ambient_5m",
        )
    ],
    owner="process@lineshaft.example",
    tags={"team": "process"},
    description="How much warmer the machine is than the air around it, in degrees Celsius.",
)

severity = OnDemandFeatureView(
    name="severity",
    sources=[vibration_condition],
    schema=[
        Field(name="zone_iso10816_3_group2_rigid", dtype=String),
        Field(name="zone_iso10816_3_group2_flexible", dtype=String),
    ],
    aggregations=[
        Aggregation(
            column="vibration_condition__acceleration_velocity_rms_10_1000hz_1m",
            function=f"severity_zone[iso10816-3:group2:{mounting}]",
            name=f"zone_iso10816_3_group2_{mounting}",
        )
        for mounting in ("rigid", "flexible")
    ],
    owner="vibration@lineshaft.example",
    tags={"team": "vibration"},
    description="Zone A to D of broadband velocity; the table is part of the name, because tables differ.",
)

bearing_diagnosis = OnDemandFeatureView(
    name="bearing_diagnosis",
    sources=[vibration_condition],
    schema=[Field(name="fault_5m", dtype=String)],
    aggregations=[
        Aggregation(
            column="vibration_condition__acceleration_envelope_ratio_bpfo_5m,"
            "vibration_condition__acceleration_envelope_ratio_bpfi_5m,"
            "vibration_condition__acceleration_envelope_ratio_bsf_5m,"
            "vibration_condition__acceleration_envelope_ratio_2bsf_5m,"
            "vibration_condition__acceleration_envelope_ratio_ftf_5m",
            function="bearing_diagnosis",
            name="fault_5m",
        )
    ],
    owner="vibration@lineshaft.example",
    tags={"team": "vibration"},
    description="Which race the envelope points to; where the signal does not show a fault, it says not determined.",
)
