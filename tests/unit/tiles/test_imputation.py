"""Constants stand in for what was not measured, in every type, and for nothing else."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from lineshaft.specs import Service, ServiceView, Status
from lineshaft.specs.rows import ARROW_TYPES
from lineshaft.specs.views import Constant
from lineshaft.tiles.imputation import imputed
from lineshaft.tiles.sheet import Sheet

CASES: dict[str, tuple[object, Constant]] = {
    "float64": (1.5, -0.25),
    "float32": (1.5, -0.25),
    "int64": (7, 2**60),
    "int32": (7, -3),
    "bool": (False, True),
    "string": ("cold", "unknown"),
}


@pytest.mark.parametrize("dtype", CASES)
def test_a_constant_stands_where_there_is_nothing(dtype: str) -> None:
    """NULL, NOT_FOUND and STALE become IMPUTED; a value stays, and so do bytes that are lost and stores that are."""
    value, constant = CASES[dtype]
    nothing = [None] * 5
    other = pa.array([1.0, *nothing], pa.float64())
    sheet = Sheet.of(pa.table({"v__a": pa.array([value, *nothing], ARROW_TYPES[dtype]), "v__b": other}))
    of_row = [Status.PRESENT, Status.NULL, Status.NOT_FOUND, Status.STALE, Status.CORRUPT, Status.UNAVAILABLE]
    status = np.array([of_row, of_row], np.int8).T

    filled, told = imputed([("v__a", constant)], sheet, status)

    kept = [Status.PRESENT, *[Status.IMPUTED] * 3, Status.CORRUPT, Status.UNAVAILABLE]
    assert filled.table["v__a"].to_pylist() == [value, constant, constant, constant, None, None]
    assert filled.table["v__a"].type == ARROW_TYPES[dtype]
    assert told[:, 0].tolist() == kept
    assert filled.table["v__b"].to_pylist() == other.to_pylist()
    assert told[:, 1].tolist() == of_row
    assert status[:, 0].tolist() == of_row, "what was given is left as it was"


def test_an_answer_without_gaps_is_the_same_object() -> None:
    """The usual case costs one look."""
    sheet, status = Sheet.of(pa.table({"v__a": [1.0]})), np.ones((1, 1), np.int8)

    assert imputed([("v__a", 0.0)], sheet, status) == (sheet, status)


def test_what_a_service_imputes_is_part_of_its_version_and_kept() -> None:
    """A model is pinned to the constants it has learnt from; a service without any keeps the version it had."""
    used = (ServiceView(view="v", version="0" * 12, features=("a", "b", "c")),)
    bare = Service(name="s", views=used)
    filled = Service(name="s", views=used, impute=(("v__a", 0.5), ("v__b", True), ("v__c", "none")))

    assert bare.version == "8cd0bcd1dc78"
    assert len({bare.version, filled.version, Service(name="s", views=used, impute=(("v__a", 0.6),)).version}) == 3
    assert Service.from_json(filled.to_json()) == filled
