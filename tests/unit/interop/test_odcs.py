"""A view's data contract says what the view says, in the words of the standard."""

from __future__ import annotations

import json
from typing import Any

from lineshaft.interop.odcs import API, data_contract
from lineshaft.specs import Feature, Source, View

VIEW = View(
    name="vibration",
    source=Source(name="vibration_blocks", channels=("acceleration",), units=("g",)),
    entity_keys=(("asset_id", "string"), ("position", "string")),
    features=(
        Feature(name="rms_1m", column="acceleration", function="rms", unit="g"),
        Feature(name="zone", dtype="string", description="A to D"),
        Feature(name="starts", dtype="int64"),
    ),
    tile_us=60_000_000,
    grace_us=5_000_000,
    ttl_us=900_000_000,
    team="vibration",
    owner="ana@x.example",
    description="How a bearing shakes.",
)
CHECKS: list[dict[str, Any]] = [
    {"columns": ["rms_1m"], "text": "rms_1m between 0 and 50 g", "why": "range of the sensor"},
    {
        "columns": ["peak_1m", "rms_1m"],
        "text": "peak_1m >= rms_1m",
        "why": "the largest of values is at least their rms",
    },
    {"columns": ["asset_id", "event_time"], "text": "(asset_id, event_time) is unique", "why": ""},
]
REQUIRED = {"version", "apiVersion", "kind", "id", "status"}


def columns() -> dict[str, dict[str, Any]]:
    """Return what the contract says of each column."""
    (table,) = data_contract(VIEW, checks=CHECKS)["schema"]
    return {one["name"]: one for one in table["properties"]}


def test_it_names_itself_as_the_standard_asks() -> None:
    """The fields that every contract must have; its version is the view's, and it can be written as JSON."""
    contract = data_contract(VIEW, project="plant-7")

    assert set(contract) >= REQUIRED
    assert (contract["apiVersion"], contract["kind"], contract["version"]) == (API, "DataContract", VIEW.version)
    assert contract["id"] == "lineshaft:plant-7:vibration"
    assert json.loads(json.dumps(contract)) == contract


def test_keys_and_times_are_the_primary_key_in_order() -> None:
    """One row a machine, position, tick and version."""
    keys = {name: one["primaryKeyPosition"] for name, one in columns().items() if one.get("primaryKey")}

    assert keys == {"asset_id": 1, "position": 2, "event_time": 3, "known_at": 4}
    assert all(one["required"] == ("primaryKey" in one) for one in columns().values())


def test_a_feature_has_its_type_unit_and_meaning() -> None:
    """What it is computed of stands in its description where nobody wrote another."""
    rms, zone, starts = (columns()[name] for name in VIEW.feature_names)

    assert (rms["logicalType"], rms["physicalType"], rms["description"]) == ("number", "float64", "rms of acceleration")
    assert rms["customProperties"] == [{"property": "unit", "value": "g"}]
    assert (zone["logicalType"], zone["description"], starts["logicalType"]) == ("string", "A to D", "integer")


def test_checks_stand_where_they_belong() -> None:
    """One of a column at the column, others at the table, each with its reason."""
    (table,) = data_contract(VIEW, checks=CHECKS)["schema"]

    assert columns()["rms_1m"]["quality"] == [
        {"type": "text", "description": "rms_1m between 0 and 50 g: range of the sensor"}
    ]
    assert [one["description"] for one in table["quality"]] == [
        "peak_1m >= rms_1m: the largest of values is at least their rms",
        "(asset_id, event_time) is unique",
    ]


def test_promises_of_time_and_the_owner_are_told() -> None:
    """How often, how late, how long; whom to ask."""
    contract = data_contract(VIEW)

    assert {one["property"]: one["value"] for one in contract["slaProperties"]} == {
        "frequency": 60.0,
        "latency": 5.0,
        "timeToLive": 900.0,
    }
    assert contract["team"] == {
        "name": "vibration",
        "members": [{"username": "ana@x.example", "role": "owner"}],
    }
    assert {one["property"]: one["value"] for one in contract["customProperties"]}["channels"] == "acceleration [g]"
