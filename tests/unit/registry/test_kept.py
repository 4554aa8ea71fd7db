"""What the database last said is kept in files, word for word, and used only while it is away."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from lineshaft.errors import NotFoundError, UnavailableError
from lineshaft.registry.catalog_values import FixedCatalog
from lineshaft.registry.kept import KeptCatalog, KeptTexts
from lineshaft.specs import Feature, OnDemandView, Service, ServiceView, Source, View

VIEW = View(
    name="pumps",
    source=Source(name="s", channels=("x",), units=("g",)),
    entity_keys=(("asset_id", "string"),),
    features=(Feature(name="rms"),),
)
SERVICE = Service(name="health", views=(ServiceView(view="pumps", version=VIEW.version, features=("rms",)),))
WHOLE = FixedCatalog(all_views=(VIEW,), all_services=(SERVICE,))


@dataclass
class Away:
    """A catalogue whose database does not answer."""

    asked: list[str] = field(default_factory=list)

    def view(self, name: str, version: str | None = None) -> View:
        """Fail."""
        raise UnavailableError("nobody listens")

    def service(self, name: str) -> Service:
        """Fail."""
        raise UnavailableError("nobody listens")

    def views(self) -> tuple[View, ...]:
        """Fail."""
        raise UnavailableError("nobody listens")

    def services(self) -> tuple[Service, ...]:
        """Fail."""
        raise UnavailableError("nobody listens")

    def on_demand_views(self) -> tuple[OnDemandView, ...]:
        """Fail."""
        raise UnavailableError("nobody listens")


def test_definitions_that_were_read_are_answered_while_the_database_is_away(tmp_path: Path) -> None:
    """Views in the version asked for, services, and lists of both, as another process last read them."""
    there = KeptCatalog(catalog=WHOLE, kept=KeptTexts(tmp_path))
    away = KeptCatalog(catalog=Away(), kept=KeptTexts(tmp_path))
    with pytest.raises(UnavailableError):
        away.services()
    for one in (there.view("pumps"), there.view("pumps", VIEW.version), there.service("health")):
        assert one.name in {"pumps", "health"}
    assert (there.views(), there.services(), there.on_demand_views()) == ((VIEW,), (SERVICE,), ())

    assert away.view("pumps") == away.view("pumps", VIEW.version) == VIEW
    assert away.service("health") == SERVICE
    assert (away.views(), away.services(), away.on_demand_views()) == ((VIEW,), (SERVICE,), ())
    with pytest.raises(UnavailableError):
        away.view("pumps", "0" * 12)


def test_a_database_that_answers_is_believed(tmp_path: Path) -> None:
    """What is gone is gone, whatever was kept."""
    KeptCatalog(catalog=WHOLE, kept=KeptTexts(tmp_path)).service("health")

    with pytest.raises(NotFoundError):
        KeptCatalog(catalog=FixedCatalog(), kept=KeptTexts(tmp_path)).service("health")


def test_a_text_is_written_when_it_changes_and_not_used_when_it_was_altered(tmp_path: Path) -> None:
    """One file a name, wherever the name would lead; a bit more or less and it is none."""
    texts = KeptTexts(tmp_path / "kept")
    texts.save("../a b", "ä\nwords")
    (path,) = (tmp_path / "kept").iterdir()
    first = path.stat().st_mtime_ns
    texts.save("../a b", "ä\nwords")
    assert (path.stat().st_mtime_ns, texts.load("../a b")) == (first, "ä\nwords")
    texts.save("../a b", "other")
    assert texts.load("../a b") == KeptTexts(tmp_path / "kept").load("../a b") == "other"

    path.write_text(path.read_text() + " ")

    assert texts.load("../a b") is None
    assert texts.load("nothing") is None


def test_a_disk_that_takes_nothing_costs_nothing(tmp_path: Path) -> None:
    """A file stands where the folder should: it is logged, and answers come all the same."""
    (tmp_path / "kept").write_text("")

    assert KeptCatalog(catalog=WHOLE, kept=KeptTexts(tmp_path / "kept")).service("health") == SERVICE
