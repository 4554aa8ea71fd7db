"""A home is found from anywhere, survives the loss of its cache, and is told plainly when it cannot be used."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lineshaft.cli import main
from lineshaft.errors import ConflictError
from lineshaft.settings import Settings
from lineshaft.sources.blocks import blocks_table
from lineshaft.specs import Feature, OnDemandFeature, OnDemandView, Service, ServiceView, Source, View
from lineshaft.stores.embedded import EmbeddedValkey
from lineshaft.stores.ports import Wanted
from lineshaft.tiles.engine import Engine
from lineshaft.wiring import connect, refill
from lineshaft_flink.launch import alone

MINUTE_US = 60_000_000
PUMPS = View(
    name="pumps",
    source=Source(name="shaft", channels=("x",), units=("g",)),
    entity_keys=(("asset_id", "string"),),
    features=(Feature(name="rms", column="x", function="rms", window_us=MINUTE_US),),
)


class Given:
    """A plan that declares one view."""

    generation = 0
    summary = "one view"
    views = (PUMPS,)
    on_demand: tuple[OnDemandView, ...] = ()
    services: tuple[Service, ...] = ()
    transfers: frozenset[str] = frozenset()

    def checked(self) -> object:
        """Find no fault."""
        return self


def test_a_relative_home_is_made_absolute_once() -> None:
    """Jobs run in folders of their own, so a relative home would be looked for there."""
    settings = Settings(home=Path("somewhere"))

    assert settings.home == Path.cwd() / "somewhere"
    assert all(path.is_absolute() for path in (Settings().home, settings.data, settings.repo, settings.policies))


def test_a_lost_cache_is_filled_again_when_its_server_starts_anew(tmp_path: Path) -> None:
    """A machine whose row was lost with the server must not look like one nobody knows."""
    settings = Settings(home=tmp_path)
    blocks = blocks_table(asset_id="p", starts_us=np.array([0]), samples=np.ones((1, 1, 8)), rate_hz=8.0)
    engine = Engine(PUMPS)
    engine.add(blocks)
    with EmbeddedValkey(tmp_path / "online") as server, connect(settings) as parts:
        parts.catalog.apply(Given(), actor="test")
        parts.offline.write_rows(PUMPS, engine.advance(2**61), batch="one")
        refill(parts)
        before = parts.online.digest(PUMPS)
        os.kill(server.pid or 0, signal.SIGKILL)

    with connect(settings, keep_online=False) as parts:
        (found,) = parts.online.read(
            [Wanted(view=PUMPS, features=("rms",), keys=blocks.select(["asset_id"]))], timeout_s=5.0
        )
        after = parts.online.digest(PUMPS)

    assert found.rows["rms"].to_pylist() == [1.0]
    assert after == before


@pytest.mark.parametrize(
    ("name", "value", "code"), [("REDIS_TIMEOUT_S", "abc", "LS-INP"), ("HOME", __file__, "LS-ENV")]
)
def test_an_unusable_setting_is_told_in_plain_words(
    name: str, value: str, code: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A number that is none, and a home that is a file, end with exit code 1 and no traceback."""
    monkeypatch.setenv(f"LINESHAFT_{name}", value)
    monkeypatch.setattr(sys, "argv", ["lineshaft", "views"])

    with pytest.raises(SystemExit) as end:
        main()

    said = capsys.readouterr().err
    assert end.value.code == 1
    assert said.startswith(code)
    assert "Traceback" not in said


def test_two_backfills_do_not_share_a_folder(tmp_path: Path) -> None:
    """The second is refused while the first works, and may come after."""
    with alone(tmp_path), pytest.raises(ConflictError, match="another backfill"), alone(tmp_path):
        pass

    with alone(tmp_path):
        pass


def test_numbers_beside_the_keys_reach_what_is_computed_from_them(
    tmp_path: Path, lineshaft: Callable[..., Any]
) -> None:
    """`--data` of `lineshaft features`: one number an entity, and none where it is left out."""
    over = OnDemandFeature(name="over", function="difference", inputs=("load", "rated"))
    demand = OnDemandView(name="drive", features=(over,), request_fields=(("load", "float64"), ("rated", "float64")))
    used = ServiceView(view=PUMPS.name, version=PUMPS.version, features=PUMPS.feature_names)
    driven = Service(name="driven", views=(used,), on_demand=(demand,))
    with EmbeddedValkey(tmp_path / "online"), connect(Settings(home=tmp_path)) as parts:
        given = Given()
        given.on_demand, given.services = (demand,), (driven,)
        parts.catalog.apply(given, actor="test")
        asked = ("features", "driven", "--key", "asset_id=p,q", "--data", "load=5.5,", "--data", "rated=4,4", "--json")
        said = lineshaft(*asked, at=tmp_path)

    found = [row["value"] for row in said.rows if row["feature"] == "drive__over"]
    assert found == [1.5, None], said.err
