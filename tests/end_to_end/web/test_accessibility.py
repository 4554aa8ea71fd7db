"""axe-core finds nothing serious on any page, in light and in dark."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import BrowserContext, Page

pytestmark = pytest.mark.heavy

PAGES = ["/", "/features", "/features/vibration_condition/acceleration_rms_1m", "/views", "/views/vibration_condition"]
PAGES += ["/services", "/lineage", "/lineage?of=vibration_condition__acceleration_rms_1m", "/checkpoints"]
PAGES += ["/checkpoints/vibration_condition", "/drift", "/drift/bearing_failure", "/models", "/models/bearing_failure"]
PAGES += [f"/predictions/{0:032x}", "/fleet", "/fleet/pump-00", "/alerts", f"/alerts/{1:016x}", "/audit", "/nowhere"]
OURS = {"include": ["body"], "exclude": ["iframe"]}  # Evidently's report is not our page, and is sandboxed


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", PAGES)
def test_nothing_serious_is_found(site: Any, signed_in: Callable[..., BrowserContext], path: str, scheme: str) -> None:
    """Names, roles, contrast, order, language: every rule of axe, those of best practice too."""
    context = signed_in(color_scheme=scheme)
    page = context.new_page()
    page.goto(site.url + path)

    assert serious(page) == []
    context.close()


def test_nothing_serious_is_found_where_one_signs_in(site: Any, stranger: Page) -> None:
    """The form, and what it says of a wrong token."""
    stranger.goto(f"{site.url}/sign-in")
    first = serious(stranger)
    stranger.get_by_label("Token").fill("lst_guessed")
    stranger.keyboard.press("Enter")
    stranger.get_by_role("alert").wait_for()  # the answer has come

    assert first + serious(stranger) == []


def serious(page: Page) -> list[str]:
    """Return what axe finds serious or critical, each with where it stands."""
    found = Axe().run(page, context=OURS, options={"iframes": False}).response["violations"]
    return [
        f"{one['id']} ({one['impact']}): {node['target']} {node['failureSummary']}"
        for one in found
        if one["impact"] in {"serious", "critical"}
        for node in one["nodes"]
    ]
