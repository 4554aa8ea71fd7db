"""What people do on the page, in a real browser: sign in, walk by keyboard, answer an alert, approve a version."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page

pytestmark = pytest.mark.heavy

DRIFT = "/drift/bearing_failure@1"


def test_a_stranger_is_led_to_signing_in_and_back(site: Any, stranger: Page) -> None:
    """The page asked for opens once the token is known; one that is not is refused in words."""
    stranger.goto(f"{site.url}/models?q=bearing")
    stranger.get_by_label("Token").fill("lst_guessed")
    stranger.keyboard.press("Enter")
    refused = stranger.get_by_role("alert").inner_text()
    stranger.get_by_label("Token").fill(site.tokens["rita"])
    stranger.keyboard.press("Enter")
    stranger.wait_for_url("**/models?q=bearing")

    assert refused == "nobody knows this token"
    assert stranger.url == f"{site.url}/models?q=bearing"
    assert "rita, by token" in stranger.locator("header").inner_text()
    stranger.get_by_role("button", name="Sign out").click()
    stranger.wait_for_url("**/sign-in")
    stranger.goto(f"{site.url}/models")
    assert stranger.locator("h1").inner_text() == "Sign in"


def test_scripts_and_other_sites_reach_no_cookie(site: Any, page: Page) -> None:
    """The session is for HTTP only and of this site."""
    page.goto(site.url)

    (session,) = [one for one in page.context.cookies() if one["name"] == "lineshaft_session"]

    assert (session["httpOnly"], session["sameSite"]) == (True, "Lax")
    assert "lineshaft_session" not in page.evaluate("document.cookie")


def test_by_keyboard_alone_from_the_overview_to_an_answered_alert(site: Any, page: Page) -> None:
    """Tab and Enter lead to an alert, Space chooses what was found, Enter on the button keeps it; focus is seen."""
    page.goto(f"{site.url}/alerts")
    seen = press_until(page, lambda: "/alerts/0" in (focused(page, "href") or ""))
    page.keyboard.press("Enter")
    page.wait_for_url("**/alerts/0*")
    press_until(page, lambda: focused(page, "type") == "radio")
    page.keyboard.press("ArrowDown")
    press_until(page, lambda: page.evaluate("document.activeElement.tagName") == "TEXTAREA")
    page.keyboard.type("looked, and it is sound")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_url("**/alerts/0*")

    assert seen > 3
    said = page.locator("ol.time").inner_text()
    assert "false by wim, by token" in said or "false by ada, by token" in said
    assert "looked, and it is sound" in said


def focused(page: Page, attribute: str) -> str | None:
    """Return an attribute of what has the focus."""
    found: str | None = page.evaluate("name => document.activeElement.getAttribute(name)", attribute)
    return found


def press_until(page: Page, there: Callable[[], bool], *, most: int = 120) -> int:
    """Press Tab until something has the focus; everything on the way shows that it has it."""
    for count in range(most):
        if there():
            return count
        page.keyboard.press("Tab")
        shown = page.evaluate(
            "() => { const s = getComputedStyle(document.activeElement);"
            " return s.outlineStyle !== 'none' || document.activeElement === document.body"
            " || document.activeElement.type === 'datetime-local'"  # its fields show it themselves
            " || !!document.activeElement.closest('svg') || document.activeElement.className === 'skip' }"
        )
        assert shown, page.evaluate("document.activeElement.outerHTML")
    raise AssertionError("the keyboard does not lead there")


def test_a_second_person_agrees_and_the_page_says_who(site: Any, page: Page) -> None:
    """The version that waits has a form; the approval stands on the page and in the sealed history."""
    page.goto(f"{site.url}/models/bearing_failure")
    page.get_by_label("Why version 2 may be promoted").fill("held out assets agree")
    page.get_by_role("button", name="Approve version 2").click()
    page.wait_for_url("**/models/bearing_failure")

    text = page.locator("main").inner_text()

    assert "held out assets agree" in text
    assert page.get_by_role("button", name="Approve version 2").count() == 0
    assert site.parts.registry.approvals("bearing_failure", 2)[0].actor.startswith("ada, by token")


def test_by_keyboard_alone_what_is_held_is_let_in(site: Any, page: Page) -> None:
    """From the overview to the batch and its rule; a reason, Enter on the button; then it says who and why."""
    page.goto(site.url)
    press_until(page, lambda: "/quarantine/" in (focused(page, "href") or "") and "loop_condition" in text(page))
    page.keyboard.press("Enter")
    page.wait_for_url("**/quarantine/*")
    held = page.locator("main").inner_text()
    press_until(page, lambda: page.evaluate("document.activeElement.tagName") == "TEXTAREA")
    page.keyboard.type("the sign was turned on purpose")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.get_by_text("It was decided.").wait_for()

    assert "acceleration_rms_1m >= 0" in held
    assert "an administrator" not in held
    decided = page.locator("main").inner_text()
    assert "released" in decided
    assert "ada, by token" in decided
    assert "the sign was turned on purpose" in decided
    view = site.parts.catalog.view("loop_condition")
    assert sum(part.num_rows for part in site.parts.offline.read_rows(view)) == 4


def text(page: Page) -> str:
    """Return the words of what has the focus."""
    found: str = page.evaluate("document.activeElement.textContent")
    return found


def test_a_fleet_is_ranked_filtered_and_led_on_from(site: Any, page: Page) -> None:
    """The worst first with its week as a line; a site and a class leave fewer; a machine shows what was said of it."""
    page.goto(f"{site.url}/fleet")
    first = page.locator("tbody tr").first.inner_text()
    page.get_by_label("Site").select_option("north")
    page.get_by_label("Class").select_option("fan")
    page.get_by_role("button", name="Show").click()
    page.wait_for_url("**site=north*")
    names = page.locator("tbody tr td:first-child").all_inner_texts()
    page.get_by_role("link", name=names[0]).click()

    assert "pump-00" in first
    assert "0.895" in first
    assert names == ["pump-01", "pump-05", "pump-03"]
    assert page.get_by_role("img", name="Trend of what bearing_failure said").count() == 1


def test_a_person_walks_from_a_machine_to_its_prediction_and_to_its_sensor(site: Any, page: Page) -> None:
    """Fleet, machine, prediction, lineage: each a click away, and each says what it should."""
    page.goto(f"{site.url}/fleet")
    page.get_by_role("link", name="pump-00").click()
    machine = page.locator("main").inner_text()
    page.locator('a[href^="/predictions/"]').first.click()
    page.get_by_text("Inputs then").wait_for(timeout=60_000)
    prediction = page.locator("main").inner_text()
    page.get_by_role("link", name="from its sensors").click()

    assert "BPFO" in machine
    assert "107" in page.locator("body").inner_text() or "107" in machine
    assert "bearing_failure@1 said" in prediction
    assert page.locator("svg.graph rect.box.channel").count() == 1
    page.locator("svg.graph a").first.click()
    assert page.url.startswith(f"{site.url}/lineage?of=")


def test_the_line_of_the_struck_race_stands_out(site: Any, page: Page) -> None:
    """The spectrum is of the newest block, its outer race marked at 107.4 Hz, far above the background."""
    page.goto(f"{site.url}/fleet/pump-00")

    row = page.locator("table tr", has_text="BPFO").first.inner_text().split("\t")

    assert row[0].strip() == "BPFO"
    assert row[1].strip() == "107"
    assert float(row[3].replace(",", "")) > 10
    assert page.locator("svg.picture path.line-bpfo").count() == 3


def test_values_of_another_team_are_kept_back(site: Any, signed_in: Callable[..., BrowserContext]) -> None:
    """Who reads for another team sees who owns what, and no values, no spectrum, no prediction."""
    context = signed_in("rita")
    page = context.new_page()
    page.goto(f"{site.url}/views/vibration_condition")
    view = page.locator("main").inner_text()
    page.goto(f"{site.url}/fleet/pump-00")
    machine = page.locator("main").inner_text()
    answer = page.goto(f"{site.url}/predictions/{0:032x}")

    assert "vibration@lineshaft.example" in view
    assert "ask for a grant vibration:reader" in view
    assert "are not shown" in machine
    assert page.locator("svg.picture").count() == 0
    assert answer is not None
    assert answer.status == 403
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_follows_light_and_dark(site: Any, signed_in: Callable[..., BrowserContext], scheme: str) -> None:
    """The paper is light or dark as the system says."""
    context = signed_in(color_scheme=scheme)
    page = context.new_page()
    page.goto(site.url)

    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")

    assert (sum(int(one) for one in paper.strip("rgb()").split(",")) > 380) == (scheme == "light")
    context.close()


def test_a_narrow_screen_scrolls_tables_and_not_the_page(site: Any, signed_in: Callable[..., BrowserContext]) -> None:
    """On a phone nothing sticks out, and wide tables are reached with the keyboard."""
    context = signed_in(viewport={"width": 390, "height": 800})
    page = context.new_page()
    for path in ("/", "/models/bearing_failure", "/fleet", "/fleet/pump-00", "/features", "/quarantine", DRIFT):
        page.goto(site.url + path)
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), path
    context.close()
