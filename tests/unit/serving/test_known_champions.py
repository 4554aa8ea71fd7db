"""A server that starts while the registry is away answers by the champions it last knew, and follows it later."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from lineshaft.clock import ManualClock
from lineshaft.errors import UnavailableError
from lineshaft.registry.catalog import FixedCatalog
from lineshaft.registry.kept import KeptCatalog, KeptTexts
from lineshaft.registry.migrate import upgrade
from lineshaft.registry.models import ModelRegistry, open_registry
from lineshaft.registry.records import Provenance, Verdict, ViewPin
from lineshaft.serving.champions import Champions
from lineshaft.serving.features import FeatureHandler, Plans
from lineshaft.serving.following import followed
from lineshaft.serving.known_champions import KnownChampions
from lineshaft.serving.predict import Predictor
from lineshaft.serving.predictions import Question
from lineshaft.specs import Feature, Service, ServiceView, Source, View, row_schema
from lineshaft.stores.memory_online import MemoryOnlineStore
from lineshaft.testing import small_candidate

VIEW = View(
    name="pumps",
    source=Source(name="s", channels=("x",), units=("g",)),
    entity_keys=(("asset_id", "string"),),
    features=(Feature(name="rms"),),
)
SERVICE = Service(name="health", views=(ServiceView(view="pumps", version=VIEW.version, features=("rms",)),))
NOWHERE = "postgresql://nobody@127.0.0.1:1/none"
PROVENANCE = Provenance(
    model_file="task: anomaly",
    catalog_generation=3,
    label_table="log",
    label_sha256="1" * 64,
    moments_sha256="2" * 64,
    features_sha256="3" * 64,
    environment={"python": "3.11"},
    curve=((0.5, 0.25), (1.0, 0.125)),
)


def detector(centre: float) -> bytes:
    """Return a model that scores by how far a level is from a centre."""
    text = f'{{"detector":"distance","features":["pumps__rms"],"centre":[{centre}],"covariance":[[1.0]]}}'
    return text.encode()


def register(registry: ModelRegistry, centre: float) -> None:
    """Register a version that passed its gate, and promote it."""
    candidate = small_candidate(
        model="wear",
        task="anomaly",
        service=SERVICE.name,
        service_json=SERVICE.to_json(),
        features=("pumps__rms",),
        pins=(ViewPin(view="pumps", version=VIEW.version, table_version=4),),
        artifact=detector(centre),
        params={"detector": "distance"},
        metrics={"false_alarm_share": 0.01},
        provenance=PROVENANCE,
    )
    number = registry.register(candidate, actor="ann").number
    registry.judge("wear", number, Verdict(gate="bar", outcome="pass", detail=""), actor="gate")
    registry.promote("wear", number, environment="prod", actor="ann", reason="test")


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[ModelRegistry]:
    """Return a registry with a champion, and one before it."""
    url = f"sqlite:///{tmp_path / 'registry.db'}"
    upgrade(url)
    opened = open_registry(database_url=url, artifacts=tmp_path / "artifacts", clock=ManualClock(time_us=1))
    register(opened, 1.0)
    register(opened, 2.0)
    yield opened
    opened.engine.dispose()


@pytest.fixture
def away(tmp_path: Path) -> Iterator[ModelRegistry]:
    """Return the same registry without its database."""
    opened = open_registry(database_url=NOWHERE, artifacts=tmp_path / "artifacts", clock=ManualClock(time_us=1))
    yield opened
    opened.engine.dispose()


def server(registry: ModelRegistry, folder: Path) -> Champions:
    """Return who answers, as a server that was just started follows them."""
    champions, acknowledging = followed(registry, "prod", kept=KeptTexts(folder), clock=ManualClock(time_us=1))
    champions.start()
    champions.close()
    acknowledging.close()
    return champions


def test_a_server_that_starts_without_the_registry_answers_as_before(
    registry: ModelRegistry, away: ModelRegistry, tmp_path: Path
) -> None:
    """The same version, read from its own file by its hash, with the champion before it in reserve; scores alike."""
    before, after = server(registry, tmp_path / "kept"), server(away, tmp_path / "kept")

    assert (before.generation, after.generation) == (2, -1)
    assert after.of("wear").ready.version == before.of("wear").ready.version == registry.get("wear", 2)
    assert [one.reserve.version.number for one in (before.of("wear"), after.of("wear")) if one.reserve] == [1, 1]
    rows = np.array([[2.0], [4.5]], dtype=np.float32)
    scores = [one.of("wear").ready.model.score(rows, why=False).scores.tolist() for one in (before, after)]
    assert scores[0] == scores[1] == [0.0, 2.5]
    with pytest.raises(UnavailableError):
        server(away, tmp_path / "nothing kept").of("wear")


def test_sites_are_remembered_with_their_champions(
    registry: ModelRegistry, away: ModelRegistry, tmp_path: Path
) -> None:
    """Without the registry an asset of a site is answered by that site's champion, and each other one as before."""
    registry.sites.place({"p1": "plant-b"}, environment="prod", actor="ann", reason="test")
    registry.promote("wear", 1, environment="prod", site="plant-b", actor="ann", reason="test")
    entities = pa.table({"asset_id": ["p0", "p1"]})

    before, after = server(registry, tmp_path / "kept"), server(away, tmp_path / "kept")

    for one in (before, after):
        shares = one.of("wear").deal(entities)
        told = [(share.at.ready.version.number, share.rows is not None and share.rows.tolist()) for share in shares]
        assert told == [(2, [True, False]), (1, [False, True])]


def test_features_and_scores_come_without_any_database(
    registry: ModelRegistry, away: ModelRegistry, tmp_path: Path
) -> None:
    """Definitions that were read once are kept too: the whole question is answered."""
    kept, clock, online = KeptTexts(tmp_path / "kept"), ManualClock(time_us=60_000_000), MemoryOnlineStore()
    times = pa.array([50_000_000]).cast(pa.timestamp("us", tz="UTC"))
    online.write(VIEW, pa.table([["p0"], times, times, [4.5]], schema=row_schema(VIEW)))
    here = FixedCatalog(all_views=(VIEW,), all_services=(SERVICE,))
    gone = KeptCatalog(catalog=_Gone(), kept=kept)
    found = []
    for one, catalog in ((registry, KeptCatalog(catalog=here, kept=kept)), (away, gone)):
        handler = FeatureHandler(plans=Plans(catalog=catalog), online=online, clock=clock)
        predictor = Predictor(champions=server(one, tmp_path / "kept"), features=handler, clock=clock)
        found.append(predictor.predict(Question(model="wear", keys=pa.table({"asset_id": ["p0"]}))))

    assert [(one.version, one.scores.tolist()) for one in found] == [("wear@2", [2.5])] * 2


class _Gone(FixedCatalog):
    """A catalogue whose database does not answer."""

    def view(self, name: str, version: str | None = None) -> View:
        """Fail."""
        raise UnavailableError("nobody listens")


def test_a_file_that_was_altered_answers_nothing(registry: ModelRegistry, away: ModelRegistry, tmp_path: Path) -> None:
    """The champion's bytes are held against its hash again: the one before it answers, then nobody."""
    server(registry, tmp_path / "kept")
    paths = [
        registry.artifacts.root / version.artifact_sha256[:2] / f"{version.artifact_sha256}.json"
        for version in registry.versions("wear")
    ]
    paths[0].write_bytes(detector(9.0))
    assert server(away, tmp_path / "kept").of("wear").ready.version.number == 1

    paths[1].unlink()

    assert KnownChampions(registry=away, environment="prod", kept=KeptTexts(tmp_path / "kept")).recall() == {}


def test_when_the_registry_is_back_it_is_followed(registry: ModelRegistry, away: ModelRegistry, tmp_path: Path) -> None:
    """What was promoted meanwhile takes over; nothing was changed in between."""
    server(registry, tmp_path / "kept")
    late = server(away, tmp_path / "kept")
    register(registry, 3.0)

    late.registry = replace(away, engine=registry.engine)

    assert late.look()
    assert late.of("wear").ready.version.number == 3
