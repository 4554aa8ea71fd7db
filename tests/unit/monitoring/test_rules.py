"""The rules for Prometheus and the dashboard for Grafana: they are taken, they fire in time, they lead to words."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
MONITORING = ROOT / "helm" / "lineshaft" / "monitoring"
RULES = yaml.safe_load((MONITORING / "rules.yaml").read_text(encoding="utf-8"))["groups"]
ALERTS = [rule for group in RULES for rule in group["rules"] if "alert" in rule]
PANELS = [
    panel for panel in json.loads((MONITORING / "dashboard.json").read_text())["panels"] if panel["type"] != "row"
]


@pytest.fixture(scope="module")
def promtool() -> str:
    """Find promtool, or say aloud that the rules go untried."""
    found = shutil.which("promtool")
    if found is None:
        pytest.skip("promtool is not installed (Debian's package prometheus has it): the rules go untried")
    return found


def test_prometheus_takes_the_rules(promtool: str) -> None:
    """`promtool check rules` has no word against them."""
    done = subprocess.run(
        [promtool, "check", "rules", str(MONITORING / "rules.yaml")], capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_fires_when_it_should_and_is_silent_before(promtool: str, tmp_path: Path) -> None:
    """`promtool test rules` on made-up numbers, none of the alerts left out."""
    for file in (MONITORING / "rules.yaml", HERE / "rules_test.yaml"):
        shutil.copy(file, tmp_path)
    done = subprocess.run(
        [promtool, "test", "rules", "rules_test.yaml"], cwd=tmp_path, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stdout + done.stderr
    tried = [one for test in yaml.safe_load((HERE / "rules_test.yaml").read_text())["tests"] for one in alerts(test)]
    assert {one["alertname"] for one in tried if one["exp_alerts"]} == {rule["alert"] for rule in ALERTS}
    assert {one["alertname"] for one in tried if not one["exp_alerts"]} >= {
        rule["alert"] for rule in ALERTS if "for" in rule and rule["alert"] not in ANY_TIME
    }


ANY_TIME = {"LineshaftErrors", "LineshaftStoreLeftAlone"}  # silent for another series at the same moment


def alerts(test: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what a test expects of alerts."""
    found: list[dict[str, Any]] = test.get("alert_rule_test", [])
    return found


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_an_alert_says_how_bad_what_and_where_to_read_on(rule: dict[str, Any]) -> None:
    """Its runbook is a heading of a page, with what it means, what to look at and what to do."""
    page, _, anchor = rule["annotations"]["runbook"].partition("#")
    parts = re.split(r"^## ", (ROOT / page).read_text(encoding="utf-8"), flags=re.MULTILINE)
    sections = {part.partition("\n")[0].lower(): part for part in parts}

    assert rule["labels"]["severity"] in {"page", "warn"}
    assert rule["annotations"]["summary"]
    assert anchor == rule["alert"].lower()
    for word in ("- Means: ", "- Look at: ", "- Do: "):
        assert word in sections[anchor]


def test_panels_have_names_units_and_places_of_their_own() -> None:
    """Nothing lies over anything else, and each is described."""
    squares = [
        (panel["gridPos"]["x"] + dx, panel["gridPos"]["y"] + dy)
        for panel in PANELS
        for dx in range(panel["gridPos"]["w"])
        for dy in range(panel["gridPos"]["h"])
    ]

    assert len(squares) == len(set(squares))
    assert max(x for x, _ in squares) < 24
    assert len({panel["title"] for panel in PANELS}) == len({panel["id"] for panel in PANELS}) == len(PANELS)
    assert all(panel["description"] and panel["fieldConfig"]["defaults"]["unit"] for panel in PANELS)
