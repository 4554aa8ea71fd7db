"""What answers requests starts without what declares, checks, trains or streams: those imports cost seconds each."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from lineshaft.settings import Settings
from lineshaft.wiring import connect, handlers

HEAVY = (
    "feast",
    "great_expectations",
    "evidently",
    "pyflink",
    "apache_beam",
    "xgboost",
    "pandas",
    "polars",
    "matplotlib",
)
ENTRANCES = {
    "the package": "lineshaft",
    "the server": "lineshaft.serving.server",
    "the handlers": "lineshaft.serving.features, lineshaft.serving.predict",
    "the client": "lineshaft.serving.client",
    "the engine": "lineshaft.tiles.engine, lineshaft.testing",
    "the object graph": "lineshaft.wiring",
    "the command line": "lineshaft.cli.commands",
}


@pytest.mark.parametrize("entrance", ENTRANCES)
def test_nothing_heavy_is_imported(entrance: str) -> None:
    """A fresh interpreter that imports it holds none of the slow packages."""
    code = f"import sys, {ENTRANCES[entrance]}; print(*sorted(set(sys.modules) & set({HEAVY!r})))"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.split() == []


def test_a_feature_is_served_without_anything_heavy() -> None:
    """Answering a request, not only importing, needs none of them: nothing is loaded behind the first call."""
    code = f"""
import sys
import pyarrow as pa
from lineshaft.clock import ManualClock
from lineshaft.registry.catalog_values import FixedCatalog
from lineshaft.serving.client import Client
from lineshaft.serving.features import FeatureHandler, Plans, TrainingSetHandler
from lineshaft.serving.server import Handlers, background_server
from lineshaft.specs import Feature, Service, ServiceView, Source, View
from lineshaft.stores.memory_offline import MemoryOfflineStore
from lineshaft.stores.memory_online import MemoryOnlineStore

view = View(name="v", source=Source(name="s", channels=("x",), units=("g",)), entity_keys=(("asset_id", "string"),),
            features=(Feature(name="rms"),))
service = Service(name="h", views=(ServiceView(view="v", version=view.version, features=("rms",)),))
plans = Plans(catalog=FixedCatalog(all_views=(view,), all_services=(service,)))
features = FeatureHandler(plans=plans, online=MemoryOnlineStore(), clock=ManualClock())
training = TrainingSetHandler(plans=plans, offline=MemoryOfflineStore())
handlers = Handlers(plans=plans, features=features, training=training)
with background_server(handlers) as address, Client(address) as client:
    assert client.features("h", asset_id=["a"]).table.num_rows == 1
print(*sorted(set(sys.modules) & set({HEAVY!r}) - {{"pandas"}}))  # pyarrow itself looks for pandas in pa.array
"""

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []


def test_a_server_is_started_without_the_other_commands() -> None:
    """`lineshaft serve` holds nothing that simulates, migrates or draws: each worker would hold it too."""
    code = (
        "import sys; from lineshaft.cli import main; sys.argv = ['lineshaft', 'serve', '--help']\n"
        "try: main()\nexcept SystemExit: pass\n"
        "print(*sorted(name for name in ('scipy', 'alembic', 'lineshaft.sources.simulator.fleet', 'lineshaft.cli.data',"
        " 'lineshaft.cli.serve') if name in sys.modules), file=sys.stderr)"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stderr.split() == ["lineshaft.cli.serve"]
    assert "--workers" in done.stdout


def test_what_is_served_was_answered_before(home: Path) -> None:
    """What makes a server ready, before it listens, leaves no plan to be made by the first who asks."""
    with connect(Settings(home=home)) as parts:
        made = handlers(parts)
        assert made.start is not None
        assert made.close is not None
        names = [service.name for service in parts.catalog.services()]
        before = [made.plans.known(name) for name in names]
        made.start()
        after = [made.plans.known(name) for name in names]
        made.close()

    assert names
    assert set(before) == {None}
    assert None not in after
