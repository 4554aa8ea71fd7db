"""Great Expectations' own page, as `lineshaft checks docs` writes it, opened where there is no network."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from playwright.sync_api import Browser

from lineshaft.clock import ManualClock
from lineshaft.specs import Feature, Source, View, row_schema
from lineshaft_governance.plug import GovernanceParts

pytestmark = pytest.mark.heavy

VIEW = View(
    name="pumps",
    source=Source(name="s", channels=("x",), units=("g",)),
    entity_keys=(("asset_id", "string"),),
    features=(Feature(name="rms"), Feature(name="peak")),
)
SUITE = """
view: pumps
checks:
  - {kind: between, column: rms, low: 0, high: 50, unit: g, why: range of the sensor}
  - {kind: pair_ge, column: peak, other: rms, why: the largest of values is at least their rms}
"""


def test_data_docs_open_in_a_browser_and_show_what_failed(browser: Browser, tmp_path: Path) -> None:
    """A title, each expectation and the value that broke one; it asks nobody for anything, and no script fails."""
    suites = tmp_path / "governance" / "suites"
    suites.mkdir(parents=True)
    (suites / "pumps.yaml").write_text(SUITE)
    checks = GovernanceParts.open(policies=suites.parent, folder=tmp_path / "reports", clock=ManualClock(time_us=7))
    times = pa.array([1, 2, 3]).cast(pa.timestamp("us", tz="UTC"))
    rows = pa.table(
        [pa.array(["p"] * 3), times, times, pa.array([1.0, 77.0, 2.0]), pa.array([99.0] * 3)], schema=row_schema(VIEW)
    )
    path = checks.document(VIEW, rows)
    checks.close()
    context = browser.new_context(offline=True)
    opened, faults = context.new_page(), list[str]()
    opened.on("pageerror", lambda error: faults.append(str(error)))
    opened.on("request", lambda request: faults.append(request.url) if request.url != path.as_uri() else None)

    opened.goto(path.as_uri(), wait_until="domcontentloaded")

    text = opened.locator("body").inner_text()
    title = opened.title()
    context.close()
    assert "Data documentation" in title
    for word in ("rms", "peak", "Failed", "77"):
        assert word in text, word
    assert faults == []
