"""Draw the pictures of the admin page in docs/images: the site that its tests look at, in Chromium.

python scripts/admin_pictures.py            writes docs/images/admin-*.png; about a minute
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "end_to_end" / "web"))

from playwright.sync_api import sync_playwright  # noqa: E402

import conftest as site_of_tests  # noqa: E402
from lineshaft.clock import ManualClock  # noqa: E402

PICTURES = {
    "overview": ("/", "light"),
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
    clock = ManualClock(time_us=site_of_tests.START_US + 241 * site_of_tests.MINUTE_US)
    with tempfile.TemporaryDirectory() as folder:
        parts = site_of_tests.fill(Path(folder), clock)
        with site_of_tests.served(parts, Path(folder)) as site, sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=site_of_tests.CHROMIUM, args=list(site_of_tests.FLAGS))
            first = browser.new_context()
            site_of_tests.sign_in(first.new_page(), site, "ada")
            for name, (path, scheme) in PICTURES.items():
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


if __name__ == "__main__":
    main()
