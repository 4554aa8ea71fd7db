"""Whatever kind of table a caller holds, the client asks with it: Arrow, pandas, Polars, or columns by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from lineshaft.clock import ManualClock
from lineshaft.errors import InputError
from lineshaft.registry.catalog_values import FixedCatalog
from lineshaft.serving.client import Client
from lineshaft.serving.features import FeatureHandler, Plans, TrainingSetHandler
from lineshaft.serving.server import Handlers, background_server
from lineshaft.specs import Feature, Service, ServiceView, Source, View, row_schema
from lineshaft.stores.memory_offline import MemoryOfflineStore
from lineshaft.stores.memory_online import MemoryOnlineStore

TIME = pa.timestamp("us", tz="UTC")
PUMPS = View(
    name="pumps",
    source=Source(name="s", channels=("x",), units=("g",)),
    entity_keys=(("asset_id", "string"), ("line", "int64")),
    features=(Feature(name="rms"),),
)
HEALTH = Service(name="health", views=(ServiceView(view="pumps", version=PUMPS.version, features=("rms",)),))
ROWS = pa.table(
    [
        pa.array(c, f.type)
        for c, f in zip((["a", "b"], [1, 2], [5, 5], [5, 5], [1.5, 2.5]), row_schema(PUMPS), strict=True)
    ],
    schema=row_schema(PUMPS),
)
ENTITIES = {"asset_id": ["b", "nobody", "a"], "line": [2, 1, 1]}
KINDS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "arrow": pa.table,
    "pandas": pd.DataFrame,
    "pandas with an index": lambda columns: pd.DataFrame(columns, index=[7, 8, 9]),
    "pandas with categories": lambda columns: pd.DataFrame(columns).astype({"asset_id": "category"}),
    "polars": pl.DataFrame,
}


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    """Return a client of a server over memory stores that hold two pumps."""
    online, offline = MemoryOnlineStore(), MemoryOfflineStore()
    online.write(PUMPS, ROWS)
    offline.write_rows(PUMPS, ROWS, batch="one")
    plans = Plans(catalog=FixedCatalog(all_views=(PUMPS,), all_services=(HEALTH,)))
    handlers = Handlers(
        plans=plans,
        features=FeatureHandler(plans=plans, online=online, clock=ManualClock(time_us=10)),
        training=TrainingSetHandler(plans=plans, offline=offline),
    )
    with background_server(handlers) as address, Client(address) as opened:
        yield opened


@pytest.mark.parametrize("kind", KINDS)
def test_features_are_asked_with_any_frame(client: Client, kind: str) -> None:
    """The answer has a row for each row asked, in order, without an index among the keys."""
    found = client.features("health", KINDS[kind](ENTITIES))

    assert found.table.column_names == ["asset_id", "line", "pumps__rms"]
    assert found.table["pumps__rms"].to_pylist() == [2.5, None, 1.5]


@pytest.mark.parametrize("kind", KINDS)
def test_a_training_set_is_asked_with_any_frame(client: Client, kind: str) -> None:
    """Labels are carried along whatever the frame was."""
    times = pd.to_datetime([10, 10, 4], unit="us", utc=True)
    frame = KINDS[kind](
        {**ENTITIES, "event_time": pa.array([10, 10, 4], TIME) if kind == "arrow" else list(times), "label": [1, 2, 3]}
    )

    found = client.training_set("health", frame).to_arrow()

    assert found.column_names == ["asset_id", "line", "event_time", "label", "pumps__rms"]
    assert found["label"].to_pylist() == [1, 2, 3]
    assert found["pumps__rms"].to_pylist() == [2.5, None, None]


def test_keywords_stand_beside_a_frame(client: Client) -> None:
    """A key given by keyword joins the frame's, and replaces one of that name."""
    frame = pl.DataFrame({"asset_id": ["x", "y"]})

    found = client.features("health", frame, asset_id=["a", "b"], line=[1, 2])

    assert found.table["pumps__rms"].to_pylist() == [1.5, 2.5]


def test_one_entity_is_asked_with_one_word(client: Client) -> None:
    """A text is one key, not its letters."""
    found = client.features("health", asset_id="a", line=[1])

    assert found.table.to_pylist() == [{"asset_id": "a", "line": 1, "pumps__rms": 1.5}]


def test_keys_of_different_length_are_refused_before_they_are_sent(client: Client) -> None:
    """The error counts them."""
    with pytest.raises(InputError, match=r"keys of different length: .*'asset_id': 2, 'line': 1") as refused:
        client.features("health", asset_id=["a", "b"], line=[1])
    assert refused.value.fix


def test_answers_are_given_as_any_frame(client: Client) -> None:
    """The same table as Arrow, pandas and Polars."""
    found = client.features("health", ENTITIES)

    assert found.to_polars().to_dicts() == found.to_arrow().to_pylist()
    assert found.to_pandas()["pumps__rms"].tolist()[0] == 2.5
    stream = client.training_set("health", pa.table({**ENTITIES, "event_time": pa.array([10, 10, 10], TIME)}))
    assert stream.to_polars()["pumps__rms"].to_list() == [2.5, None, 1.5]
