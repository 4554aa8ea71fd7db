"""Evidently's reports, as the admin page hands them out."""

from __future__ import annotations

from pathlib import Path

from starlette.testclient import TestClient

from lineshaft.clock import ManualClock
from lineshaft.registry.catalog_values import FixedCatalog
from lineshaft.registry.models import open_registry
from lineshaft.stores.memory_offline import MemoryOfflineStore
from lineshaft_governance.results import ResultFolder
from lineshaft_governance.web.app import create_app
from lineshaft_governance.web.parts import WebParts

NOW = 1_790_000_040_000_000


def test_a_report_is_sent_sandboxed_and_only_from_its_folder(tmp_path: Path) -> None:
    """Only html of that folder, with a policy that lets it reach nothing; a hidden or partial one is not sent."""
    looked_at = WebParts(
        catalog=FixedCatalog(),
        offline=MemoryOfflineStore(),
        online=None,
        registry=open_registry(
            database_url="sqlite://", artifacts=tmp_path / "artifacts", clock=ManualClock(time_us=NOW)
        ),
        results=ResultFolder(tmp_path / "results"),
        reports=tmp_path / "reports",
        clock=ManualClock(time_us=NOW),
        project="demo",
    )
    looked_at.reports.mkdir()
    for name in ("m@1-4.html", ".m.html", "secret.json"):
        (looked_at.reports / name).write_text("<p>drawn</p>")
    (tmp_path / "outside.html").write_text("no")

    client = TestClient(create_app(looked_at), base_url="http://localhost")
    names = ("m@1-4.html", ".m.html", "secret.json", "..%2foutside.html")
    answers = {name: client.get(f"/reports/{name}") for name in names}
    looked_at.close()

    assert [answer.status_code for answer in answers.values()] == [200, 404, 404, 404]
    assert answers["m@1-4.html"].headers["content-security-policy"].startswith("sandbox allow-scripts;")
    assert "connect-src 'none'" in answers["m@1-4.html"].headers["content-security-policy"]
