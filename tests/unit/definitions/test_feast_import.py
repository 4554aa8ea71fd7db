"""Feast, imported without waiting for its checks of types, refuses what it refuses otherwise, in the same words."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytest.importorskip("feast")
TRIALS = """
from datetime import timedelta
import feast

for make in (
    lambda: feast.Entity(name=5),
    lambda: feast.Entity(name="a", join_keys="a", value_type=feast.ValueType.STRING),
    lambda: feast.Field(name="a", dtype="Float64"),
    lambda: feast.FileSource(name=5, path="x", timestamp_field="at"),
    lambda: feast.PushSource(name="a", batch_source=5),
    lambda: feast.FeatureView(name="a", entities=["machine"], source=None),
    lambda: feast.StreamFeatureView(name="a", source=7),
    lambda: feast.FeatureService(name="a", features=5),
    lambda: feast.OnDemandFeatureView(name=7, sources=[], schema=[]),
    lambda: feast.Entity(name="a", join_keys=["a"], value_type=feast.ValueType.STRING),
    lambda: feast.FileSource(name="a", path="x", timestamp_field="at"),
):
    for again in (1, 2):
        try:
            print(type(make()).__name__)
        except Exception as error:
            print(type(error).__name__, error)
"""
OURS = "from lineshaft.definitions.feast_import import import_feast\nimport_feast()\n"


def test_wrong_arguments_are_refused_as_by_feast_itself() -> None:
    """The first object of a class and the second; what is right is made."""
    said = [
        subprocess.run([sys.executable, "-W", "ignore", "-c", text], capture_output=True, text=True, check=True).stdout
        for text in (TRIALS, OURS + TRIALS)
    ]

    assert said[0] == said[1]
    assert said[0].count("TypeCheckError") >= 8
    assert said[0].splitlines()[-1] == "FileSource"


NAMES = """
import sys
from lineshaft.definitions.feast_import import import_feast
import_feast()
light = sorted({name.partition(".")[0] for name in sys.modules} & {"fastapi", "requests", "uvicorn", "gunicorn"})
import feast
print(light, "feast.feature_store" in sys.modules)
from feast import FileSource, type_map
from feast.aggregation import Aggregation
assert FileSource is sys.modules["feast.infra.offline_stores.file_source"].FileSource
assert feast.Aggregation is Aggregation and type_map is sys.modules["feast.type_map"]
names = [name for name in feast.__all__ if getattr(feast, name, None) is None]
from fastapi import FastAPI
print(names, feast.__version__ != "", feast.FeatureStore.__name__, FastAPI.__name__, hasattr(feast, "nothing"))
"""


def test_feast_brings_in_what_is_named_and_all_of_it_can_be() -> None:
    """No server and no store until somebody names one; then each of Feast's names is there, and FastAPI is whole."""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", NAMES], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["[] False", "[] True FeatureStore FastAPI False"]
