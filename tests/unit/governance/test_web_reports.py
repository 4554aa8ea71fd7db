"""Evidently's reports, as the admin page hands them out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from starlette.testclient import TestClient

from lineshaft.clock import ManualClock
from lineshaft.registry.catalog_values import FixedCatalog
from lineshaft.registry.drifts import drift_book
from lineshaft.registry.migrate import upgrade
from lineshaft.registry.models import open_registry
from lineshaft.specs import Service
from lineshaft.stores.memory_offline import MemoryOfflineStore
from lineshaft.testing import small_candidate
from lineshaft_governance.results import ResultFolder
from lineshaft_governance.web.app import create_app
from lineshaft_governance.web.parts import WebParts

NOW = 1_790_000_040_000_000


def test_a_report_is_sent_sandboxed_and_only_from_its_folder(tmp_path: Path) -> None:
    """Only html of that folder and of a known version, with a policy that lets it reach nothing."""
    url = f"sqlite:///{tmp_path / 'lineshaft.db'}"
    upgrade(url)
    clock = ManualClock(time_us=NOW)
    registry = open_registry(database_url=url, artifacts=tmp_path / "artifacts", clock=clock)
    registry.register(
        replace(small_candidate(), model="m", service_json=Service(name="s", views=()).to_json()), actor="ana"
    )
    looked_at = WebParts(
        catalog=FixedCatalog(),
        offline=MemoryOfflineStore(),
        online=None,
        registry=registry,
        results=ResultFolder(tmp_path / "results"),
        reports=tmp_path / "reports",
        clock=clock,
        project="demo",
        drifts=drift_book(registry, "demo"),
    )
    looked_at.reports.mkdir()
    for name in ("m@1-4.html", "gone@1-4.html", ".m.html", "secret.json"):
        (looked_at.reports / name).write_text("<p>drawn</p>")
    (tmp_path / "outside.html").write_text("no")

    client = TestClient(create_app(looked_at), base_url="http://localhost")
    names = ("m@1-4.html", "gone@1-4.html", ".m.html", "secret.json", "..%2foutside.html")
    answers = {name: client.get(f"/reports/{name}") for name in names}
    looked_at.close()
    registry.engine.dispose()

    assert [answer.status_code for answer in answers.values()] == [200, 404, 404, 404, 404]
    assert answers["m@1-4.html"].headers["content-security-policy"].startswith("sandbox allow-scripts;")
    assert "connect-src 'none'" in answers["m@1-4.html"].headers["content-security-policy"]
