"""What counts as a change of an answer, and at what pace it may be told."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from lineshaft.clock import ManualClock
from lineshaft.errors import InputError
from lineshaft.registry.catalog_values import FixedCatalog
from lineshaft.serving.features import FeatureHandler, Plans, Served
from lineshaft.serving.watching import Pace, state_of
from lineshaft.specs import Feature, Service, ServiceView, Source, Status, View, row_schema
from lineshaft.stores.memory_online import MemoryOnlineStore
from lineshaft.tiles.keys import Keys

VIEW = View(
    name="pumps",
    source=Source(name="s", channels=("x",), units=("g",)),
    entity_keys=(("asset_id", "string"),),
    features=(Feature(name="rms"), Feature(name="word", dtype="string")),
)
SERVICE = Service(name="health", views=(ServiceView(view="pumps", version=VIEW.version, features=("rms", "word")),))


def served(*, event_us: int = 5, rms: float | None = 1.0, word: str | None = "hot", at_us: int = 10) -> Served:
    """Answer from one row."""
    row = {"asset_id": ["p0"], "event_time": [event_us], "known_at": [event_us], "rms": [rms], "word": [word]}
    store = MemoryOnlineStore()
    store.write(VIEW, pa.table(row).cast(row_schema(VIEW)))
    plans = Plans(catalog=FixedCatalog(all_views=(VIEW,), all_services=(SERVICE,)))
    handler = FeatureHandler(plans=plans, online=store, clock=ManualClock(time_us=at_us))
    return handler.get("health", Keys({"asset_id": ["p0", "none"]}))


def test_the_passing_of_time_is_no_change() -> None:
    """The same row a while later says the same; so does the same null."""
    assert state_of(served()) == state_of(served(at_us=1000))
    assert state_of(served(rms=None)) == state_of(served(rms=None, at_us=1000))


def test_whatever_else_an_answer_says_is_one() -> None:
    """Another row, value, text, null, status or way of being known, each another state."""
    usual = served()
    refused = np.array(usual.answer.status)
    refused[1] = Status.UNAVAILABLE
    changed = [
        usual,
        served(event_us=6),
        served(rms=2.0),
        served(rms=None),
        served(word="cold"),
        served(word=None),
        replace(usual, degraded=True),
        replace(usual, answer=replace(usual.answer, status=refused)),
        replace(usual, plan=replace(usual.plan, versions=("another",))),
    ]

    assert len({state_of(one) for one in changed}) == len(changed)


@pytest.mark.parametrize("pace", [{"least_s": 0.0}, {"least_s": 61.0}, {"silence_s": 0.05}, {"silence_s": 61.0}])
def test_a_pace_out_of_bounds_is_refused(pace: dict[str, float]) -> None:
    """Too fast would be all the server does; a silence too long could not be told from a dead server."""
    with pytest.raises(InputError, match="seconds"):
        Pace(**pace)
