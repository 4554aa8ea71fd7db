"""Approvals, quarantine and policies on the command line: who may, what is shown, and what a fault says."""

from __future__ import annotations

import os
import pwd
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lineshaft.clock import SystemClock
from lineshaft.ops.account import account
from lineshaft.registry.records import Ack, Candidate, Consent
from lineshaft.settings import Settings
from lineshaft.stores.embedded import EmbeddedValkey
from lineshaft.wiring import Parts, connect, governance

Lineshaft = Callable[..., Any]
STRICT = """\
gates:
  - {name: level, metric: rmse, op: "<", value: 20, min_groups: 5}
  - {name: no_worse, metric: rmse, op: "<=", vs: champion, margin: -0.1}
approvals: {people: 1}
promote: {auto: false}
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return a home of its own, with a strict policy for one model."""
    folder = tmp_path_factory.mktemp("standing")
    promotion = folder / "rules" / "policies" / "promotion"
    promotion.mkdir(parents=True)
    (folder / "rules" / "suites").mkdir()
    (promotion / "grinder.yaml").write_text(STRICT)
    with EmbeddedValkey(folder / "online"):
        yield folder


@pytest.fixture(autouse=True)
def _rules(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let commands read that policy."""
    monkeypatch.setenv("LINESHAFT_POLICIES", str(home / "rules"))


@pytest.fixture(scope="module")
def parts(home: Path, grinder: Candidate) -> Iterator[Parts]:
    """Return the parts of the home, in which ann registered three good versions and judged none."""
    with connect(Settings(home=home, policies=home / "rules")) as opened:
        for _ in range(3):
            opened.registry.register(grinder, actor="ann")
        yield opened


def agree(parts: Parts, number: int, actor: str) -> None:
    """Approve as another person, under the policy of today."""
    with governance(parts) as checks:
        sha = checks.promotion("grinder").sha256
    asked = Consent(people=1, policy_sha256=sha)
    parts.registry.approve("grinder", number, consent=asked, lasts_us=10**12, actor=actor, reason="looked at it")


def test_a_promotion_waits_for_another_person(lineshaft: Lineshaft, parts: Parts) -> None:
    """Refused with who may and how; one's own approval is not enough; with another's it goes through and is shown."""
    first = lineshaft("models", "promote", "grinder@1", "--reason", "first")
    own = lineshaft("models", "approve", "grinder@1", "--reason", "looks good", "--json").rows[0]
    alone = lineshaft("models", "promote", "grinder@1", "--reason", "first")
    agree(parts, 1, "eve")
    done = lineshaft("models", "promote", "grinder@1", "--reason", "first", "--json").rows[0]

    assert first.err.startswith("LS-FOR")
    assert f"ask anybody but {', '.join(sorted((account(), 'ann')))}: `lineshaft models approve grinder@1" in first.err
    assert (own["approved_by"], own["policy"]) == (account(), "grinder")
    assert "has that of 0" in alone.err
    assert (done["model"], done["following"], done["late"]) == ("grinder@1", 0, [])
    assert parts.registry.history("grinder")[-1].reason == "first; approved by eve"
    shown = lineshaft("models", "show", "grinder@1", "--json").rows
    assert {(row["what"], row["outcome"]) for row in shown} == {
        ("version", "validated"),
        ("gate level", "pass"),
        ("gate no_worse", "pass"),
        ("approval", "valid"),
    }
    assert {row["who"] for row in shown if row["what"] == "approval"} == {account(), "eve"}
    assert next(row for row in shown if row["what"] == "gate level")["figures"]["high"] == 10.0


def test_beside_the_champion_nothing_is_known_of_what_was_not_compared(lineshaft: Lineshaft, parts: Parts) -> None:
    """The gate says unknown, and with which version to compare; unknown does not pass."""
    assert parts.registry.champion("grinder", "dev").number == 1

    refused = lineshaft("models", "promote", "grinder@2", "--reason", "newer")

    assert refused.err.startswith("LS-CON")
    assert "no_worse unknown: nothing is known of rmse beside grinder@1: train again" in refused.err


def test_servers_that_are_late_are_named(lineshaft: Lineshaft, parts: Parts) -> None:
    """Who acknowledged is counted, who still serves another version is named; without waiting nobody is asked."""
    now = SystemClock().now_us()
    ack = Ack(replica="edge:7", environment="dev", generation=10**6, models={"grinder": 1}, at_us=now)
    parts.registry.acks.note(ack)
    parts.registry.acks.note(replace(ack, replica="edge:8", models={"grinder": 9}))
    again = ("models", "promote", "grinder@1", "--reason", "again", "--json")

    waited, unwaited = lineshaft(*again).rows[0], lineshaft(*again, "--no-wait").rows[0]
    for replica in ("edge:7", "edge:8"):
        parts.registry.acks.forget(replica, "dev")

    assert (waited["following"], waited["late"]) == (1, ["edge:8 serves grinder@9"])
    assert "late" not in unwaited


def test_quarantine_and_retirement_are_told(lineshaft: Lineshaft, parts: Parts) -> None:
    """The only champion stays until another can answer; a version that holds no slot goes at once."""
    only = lineshaft("models", "quarantine", "grinder@1", "--reason", "label leak")
    unused = lineshaft("models", "quarantine", "grinder@2", "--reason", "label leak", "--json")
    retired = lineshaft("models", "retire", "grinder@3", "--reason", "never used", "--json").rows
    assert retired == [{"retired": "grinder@3", "by": account(), "reason": "never used"}]

    assert only.err.startswith("LS-NOF")
    assert "promote another version" in only.err
    assert unused.rows == [{"quarantined": "grinder@2", "environment": "", "champion": None}]
    assert [version.state for version in parts.registry.versions("grinder")] == ["retired", "quarantined", "validated"]
    assert lineshaft("models", "retire", "grinder@1", "--reason", "old").err.startswith("LS-CON")
    assert lineshaft("models", "show", "grinder", "--json").rows[0]["detail"] == "grinder@3"


@pytest.mark.usefixtures("parts")
def test_policies_are_shown_and_their_faults_are_told(lineshaft: Lineshaft, home: Path) -> None:
    """Gates in words, who must approve; a wrong file by its line and key, beside the right ones."""
    (row,) = lineshaft("models", "policies", "--json").rows
    broken = home / "rules" / "policies" / "promotion" / "pump.yaml"
    broken.write_text("gates:\n  - {name: g, metric: rmse, op: '<', value: low}\n")
    told = lineshaft("models", "policies")
    broken.unlink()

    assert row["gates"].startswith("level: rmse < 20, by its high end, min_groups 5; no_worse: rmse <= champion")
    assert (row["model"], row["approvals"], row["by_itself"]) == (
        *("grinder", "1 of anybody but whoever registered or promotes"),
        False,
    )
    assert told.code == 1
    assert "pump.yaml:2, gates[0].value" in "".join(told.err.split("\n"))
    assert "grinder" in told.out


def test_the_environment_does_not_say_who_acts(monkeypatch: pytest.MonkeyPatch) -> None:
    """The operating system does: a variable that anybody may set changes no name in the history."""
    monkeypatch.setenv("LOGNAME", "somebody-else")
    monkeypatch.setenv("USER", "somebody-else")

    assert account() == pwd.getpwuid(os.getuid()).pw_name
