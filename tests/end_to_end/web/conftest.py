"""An admin page in a real browser, asked for by real tokens, over what `plant.py` makes."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from lineshaft.access.denials import Denials
from lineshaft.access.guard import Guard
from lineshaft.access.principal import grants_of
from lineshaft.access.tokens import Tokens
from lineshaft.clock import ManualClock
from lineshaft.registry.tokens import TokenRegister
from lineshaft.serving.http_port import http_port
from lineshaft_governance.web.app import create_app
from lineshaft_governance.web.parts import WebParts

CHROMIUM = "/usr/bin/chromium"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run", "--disable-sync"]
DAY_US = 86_400_000_000


def _plant() -> ModuleType:
    """Return the module beside this one: tests are no package."""
    spec = importlib.util.spec_from_file_location("web_plant", Path(__file__).with_name("plant.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look themselves up there
    spec.loader.exec_module(module)
    return module


PLANT = _plant()
CLOCK_US = PLANT.START_US + 241 * PLANT.MINUTE_US


@dataclass(frozen=True)
class Site:
    """A running admin page that asks who one is, and the tokens of those it knows."""

    url: str
    parts: WebParts
    tokens: Mapping[str, str]


@contextmanager
def served(parts: WebParts, folder: Path) -> Iterator[Site]:
    """Serve a page to those who have a token."""
    with ExitStack() as stack:
        url = f"sqlite:///{folder / 'lineshaft.db'}"
        register = TokenRegister(url, project="demo", clock=parts.clock)
        stack.callback(register.close)
        grants = {"ada": ["*:admin"], "wim": ["vibration:writer"], "rita": ["other:reader"]}
        tokens = {}
        for name, granted in grants.items():
            _, tokens[name] = register.create(name, grants_of(granted), lives_us=DAY_US, actor="test", person=name)
        known = Tokens(register, clock=parts.clock)
        stack.callback(known.close)
        parts.guard = Guard(tokens=known, denials=Denials(folder / "audit", clock=parts.clock))
        stack.callback(parts.close)
        bound = stack.enter_context(http_port(create_app(parts), "127.0.0.1:0", setting="test"))
        yield Site(url=f"http://{bound}", parts=parts, tokens=tokens)


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Serve a site that has one of everything."""
    folder = tmp_path_factory.mktemp("site")
    parts = PLANT.fill(folder, ManualClock(time_us=CLOCK_US))
    with served(parts, folder) as running:
        yield running
    parts.registry.engine.dispose()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Start Chromium once."""
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield started
        started.close()


def sign_in(page: Page, site: Site, name: str) -> None:
    """Sign in as somebody, by the form."""
    page.goto(f"{site.url}/sign-in")
    page.get_by_label("Token").fill(site.tokens[name])
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(f"{site.url}/")


@pytest.fixture(scope="session")
def signed_in(browser: Browser, site: Site) -> Callable[..., BrowserContext]:
    """Return what opens a browser of somebody who signed in; each signs in once."""
    held: dict[str, Any] = {}

    def opened(name: str = "ada", **options: Any) -> BrowserContext:
        if name not in held:
            first = browser.new_context()
            sign_in(first.new_page(), site, name)
            held[name] = first.storage_state()
            first.close()
        size = {"width": 1280, "height": 860}
        return browser.new_context(storage_state=held[name], **{"viewport": size, **options})

    return opened


@pytest.fixture
def page(signed_in: Callable[..., BrowserContext]) -> Iterator[Page]:
    """Open a tab of the size of a small laptop, signed in as an administrator."""
    context = signed_in()
    yield context.new_page()
    context.close()


@pytest.fixture
def stranger(browser: Browser) -> Iterator[Page]:
    """Open a tab of somebody who has not signed in."""
    context = browser.new_context(viewport={"width": 1280, "height": 860})
    yield context.new_page()
    context.close()
