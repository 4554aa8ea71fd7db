"""What features are about. All teams share these."""

from feast import Entity, ValueType

machine = Entity(
    name="machine",
    join_keys=["asset_id"],
    value_type=ValueType.STRING,
    description="A machine, an engine, a line: the asset that is kept running.",
    owner="platform@lineshaft.example",
)

position = Entity(
    name="position",
    join_keys=["position"],
    value_type=ValueType.STRING,
    description="Where a sensor sits on its machine, e.g. drive_end_x. Features stay when the sensor is replaced.",
    owner="platform@lineshaft.example",
)
