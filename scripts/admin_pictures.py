"""Draw the pictures of the admin page in docs/images: the site that its tests look at, in Chromium.

python scripts/admin_pictures.py            writes docs/images/admin-*.png; about a minute
"""

from __future__ import annotations

import importlib.util
import sys
import tempfile
from pathlib import Path
from types import ModuleType

from playwright.sync_api import sync_playwright

from lineshaft.clock import ManualClock
from lineshaft.ops.quarantine import held_batches

ROOT = Path(__file__).resolve().parent.parent
PICTURES = {
    "overview": ("/", "light"),
    "drift": ("/drift/bearing_failure@1", "light"),
    "drift-report": ("/drift/bearing_failure@1/report", "dark"),
    "fleet": ("/fleet", "light"),
    "alert": (f"/alerts/{1:016x}", "light"),
    "machine": ("/fleet/pump-00", "light"),
    "model-dark": ("/models/bearing_failure", "dark"),
    "lineage": ("/lineage?of=vibration_condition__acceleration_rms_1m", "light"),
    "prediction": (f"/predictions/{0:032x}", "light"),
    "feature": ("/features/vibration_condition/acceleration_rms_1m", "light"),
    "audit-dark": ("/audit", "dark"),
    "view": ("/views/vibration_condition", "light"),
    "checkpoint": ("/checkpoints/vibration_condition", "light"),
}


def main() -> None:
    """Draw each page in full."""
    site_of_tests = tests_own()
    clock = ManualClock(time_us=site_of_tests.CLOCK_US)
    with tempfile.TemporaryDirectory() as folder:
        parts = site_of_tests.PLANT.fill(Path(folder), clock)
        with site_of_tests.served(parts, Path(folder)) as site, sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=site_of_tests.CHROMIUM, args=list(site_of_tests.FLAGS))
            first = browser.new_context()
            site_of_tests.sign_in(first.new_page(), site, "ada")
            held = held_batches(parts.work)[-1]
            for name, (path, scheme) in {**PICTURES, "quarantine": (f"/quarantine/{held.id}", "light")}.items():
                context = browser.new_context(
                    storage_state=first.storage_state(),
                    color_scheme="dark" if scheme == "dark" else "light",
                    viewport={"width": 1280, "height": 400},
                )
                page = context.new_page()
                page.goto(site.url + path, wait_until="networkidle")
                page.screenshot(path=str(ROOT / "docs" / "images" / f"admin-{name}.png"), full_page=True)
                context.close()
            browser.close()
        parts.registry.engine.dispose()


def tests_own() -> ModuleType:
    """Return the module by which the tests make their site."""
    spec = importlib.util.spec_from_file_location("site_of_tests", ROOT / "tests/end_to_end/web/conftest.py")
    if spec is None or spec.loader is None:
        raise SystemExit("the tests' site is not where it was")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look themselves up there
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    main()
