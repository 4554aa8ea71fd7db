"""Feature services: the contracts that models pin."""

from feast import FeatureService

from on_demand import bearing_diagnosis, heating, impact_energy, severity
from process import loop_change, loop_condition, process_condition, sensor_condition
from turbofan import turbofan_age, turbofan_condition
from vibration import bearing_change, bearing_level, vibration_change, vibration_condition, vibration_fast

bearing_health = FeatureService(
    name="bearing_health",
    features=[vibration_condition, vibration_fast, impact_energy, severity, bearing_diagnosis],
    owner="vibration@lineshaft.example",
    tags={"team": "vibration"},
    description="Everything known of a bearing at one position.",
)

process_health = FeatureService(
    name="process_health",
    features=[process_condition, heating],
    owner="process@lineshaft.example",
    tags={"team": "process"},
    description="What the machine as a whole does.",
)

turbofan_rul = FeatureService(
    name="turbofan_rul",
    features=[turbofan_condition, turbofan_age],
    owner="turbofan@lineshaft.example",
    tags={"team": "turbofan"},
    description="Inputs of the remaining-useful-life models.",
)

fleet_overview = FeatureService(
    name="fleet_overview",
    features=[
        vibration_condition[
            ["acceleration_rms_1m", "acceleration_kurtosis_1m", "acceleration_velocity_rms_10_1000hz_1m"]
        ],
        process_condition[["temperature_mean_5m", "ambient_mean_5m", "current_mean_5m"]],
        severity,
        heating,
    ],
    owner="platform@lineshaft.example",
    tags={"team": "platform"},
    description="One line per position of every machine.",
)

sensor_health = FeatureService(
    name="sensor_health",
    features=[sensor_condition],
    owner="process@lineshaft.example",
    tags={"team": "process"},
    description="Machines watched by LoRaWAN sensors.",
)

bearing_trend = FeatureService(
    name="bearing_trend",
    features=[bearing_level],
    owner="vibration@lineshaft.example",
    tags={"team": "vibration"},
    description="Slow level of a bearing on a life test.",
)

loop_health = FeatureService(
    name="loop_health",
    features=[loop_condition],
    owner="process@lineshaft.example",
    tags={"team": "process"},
    description="A water circulation loop.",
)

bearing_watch = FeatureService(
    name="bearing_watch",
    features=[bearing_change],
    owner="vibration@lineshaft.example",
    tags={"team": "vibration"},
    description="What a detector of bearings that leave their own normal reads, of slow levels.",
)

vibration_watch = FeatureService(
    name="vibration_watch",
    features=[vibration_change],
    owner="vibration@lineshaft.example",
    tags={"team": "vibration"},
    description="What a detector of bearings that leave their own normal reads, of waveforms.",
)

loop_watch = FeatureService(
    name="loop_watch",
    features=[loop_change],
    owner="process@lineshaft.example",
    tags={"team": "process"},
    description="What a detector of a water loop that leaves its own normal reads.",
)
