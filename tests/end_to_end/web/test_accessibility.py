"""axe-core finds nothing serious on any page, in light and in dark."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import BrowserContext, Page

pytestmark = pytest.mark.heavy

PAGES = ["/", "/features", "/features/vibration_condition/acceleration_rms_1m", "/views", "/views/vibration_condition"]
PAGES += ["/services", "/lineage", "/lineage?of=vibration_condition__acceleration_rms_1m", "/checkpoints"]
PAGES += [
    "/checkpoints/vibration_condition",
    "/drift",
    "/drift/bearing_failure@1",
    "/quarantine",
    "/drift/bearing_failure@1/report",
    "/models",
    "/models/bearing_failure",
]
PAGES += [f"/predictions/{0:032x}", "/fleet", "/fleet/pump-00", "/alerts", f"/alerts/{1:016x}", "/audit", "/nowhere"]
OURS = {"include": ["body"], "exclude": ["iframe"]}  # Evidently's report is not our page, and is sandboxed


@pytest.fixture(scope="module")
def tab(signed_in: Callable[..., BrowserContext]) -> Iterator[Page]:
    """Open one tab for all pages: nothing is changed in it."""
    context = signed_in()
    yield context.new_page()
    context.close()


@pytest.mark.parametrize("path", PAGES)
def test_nothing_serious_is_found(site: Any, tab: Page, path: str) -> None:
    """Names, roles, contrast, order, language: every rule of axe, of best practice too; contrast in dark as well."""
    tab.emulate_media(color_scheme="light")
    tab.goto(site.url + path)
    light = serious(tab)
    tab.emulate_media(color_scheme="dark")
    assert tab.evaluate("matchMedia('(prefers-color-scheme: dark)').matches")

    assert light + serious(tab, rules=["color-contrast"]) == []


def test_nothing_serious_is_found_where_one_signs_in(site: Any, stranger: Page) -> None:
    """The form, and what it says of a wrong token."""
    stranger.goto(f"{site.url}/sign-in")
    first = serious(stranger)
    stranger.get_by_label("Token").fill("lst_guessed")
    stranger.keyboard.press("Enter")
    stranger.get_by_role("alert").wait_for()  # the answer has come

    assert first + serious(stranger) == []


def serious(page: Page, *, rules: Sequence[str] = ()) -> list[str]:
    """Return what axe finds serious or critical, each with where it stands; by some of its rules, or by all."""
    options: dict[str, Any] = {"iframes": False, **({"runOnly": list(rules)} if rules else {})}
    found = Axe().run(page, context=OURS, options=options).response["violations"]
    return [
        f"{one['id']} ({one['impact']}): {node['target']} {node['failureSummary']}"
        for one in found
        if one["impact"] in {"serious", "critical"}
        for node in one["nodes"]
    ]
