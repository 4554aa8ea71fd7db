"""Policies of promotion: those that ship can judge, and what is wrong with one is told by file, line and key."""

from __future__ import annotations

from pathlib import Path

import pytest

from lineshaft.errors import DefinitionError
from lineshaft.models.gate import Gate, Policy
from lineshaft.models.spec import TASKS
from lineshaft_governance.policies import promotion_policies, promotion_policy

SHIPPED = Path(__file__).parents[3] / "governance" / "policies"
MODELS = Path(__file__).parents[3] / "feature_repo" / "models"
GATE = "  - {name: g, metric: pr_auc, op: '>', value: 0.9}\n"
STRICT = """\
# For a model that stops a line.
gates:
  - name: level
    metric: pr_auc
    op: ">="
    value: 1
    use: low
    min_positives: 20
  - {name: no_worse, metric: pr_auc, op: ">=", vs: champion, margin: -0.02, tasks: [binary]}
approvals: {people: 2, from: [reliability, shift], last: 36h, services: true}
promote: {auto: false}
"""
TEAMS = "reliability: [ana, ben]\nshift: [ben, eve]\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder of policies with the shipped default and a team."""
    (tmp_path / "promotion").mkdir()
    (tmp_path / "promotion" / "default.yaml").write_bytes((SHIPPED / "promotion" / "default.yaml").read_bytes())
    (tmp_path / "teams.yaml").write_text(TEAMS)
    return tmp_path


def test_every_shipped_policy_can_judge() -> None:
    """None has a fault, the default asks something of every task, and each other is of a model that is declared."""
    found = promotion_policies(SHIPPED)

    assert {name for name, one in found.items() if isinstance(one, DefinitionError)} == set()
    default = found.pop("default")
    assert isinstance(default, Policy)
    assert {task for gate in default.gates for task in gate.tasks} == set(TASKS)
    assert found.keys() <= {path.stem for path in MODELS.glob("*.yaml")}


def test_a_model_has_its_own_policy_or_the_default(folder: Path) -> None:
    """Read word by word; who is in a team may approve; no name of a model leads out of the folder."""
    (folder / "promotion" / "stop.yaml").write_text(STRICT)

    strict, other = promotion_policy(folder, "stop"), promotion_policy(folder, "pump")

    assert strict.gates == (
        Gate(name="level", metric="pr_auc", op=">=", value=1.0, use="low", min_positives=20),
        Gate(name="no_worse", metric="pr_auc", op=">=", vs="champion", margin=-0.02, tasks=("binary",)),
    )
    assert (strict.name, strict.approvals, strict.approvers) == ("stop", 2, ("ana", "ben", "eve"))
    assert (strict.approvals_last_us, strict.auto) == (36 * 3_600_000_000, False)
    assert (strict.services_approve, other.services_approve) == (True, False)
    assert (other.name, other.approvals, other.auto) == ("default", 0, True)
    assert promotion_policy(folder, "../teams") == other


def test_the_hash_follows_the_file_and_the_team(folder: Path) -> None:
    """An approval is bound to what it was given under, and to who could have given it."""
    path = folder / "promotion" / "stop.yaml"
    seen = []
    for policy, teams in ((STRICT, TEAMS), (STRICT + "\n", TEAMS), (STRICT, TEAMS.replace("eve", "joe"))):
        path.write_text(policy)
        (folder / "teams.yaml").write_text(teams)
        seen.append(promotion_policy(folder, "stop").sha256)

    assert len(set(seen)) == 3
    assert all(len(one) == 64 for one in seen)


@pytest.mark.parametrize(
    ("text", "place", "what"),
    [
        ("", "", "this file is empty"),
        ("gates: [a, {b: c]", ":1", "this is no YAML"),
        ("[a]", ":1", "here stands a mapping"),
        ("promote: {auto: true}", ":1", "'gates' is missing"),
        ("gates:\n" + GATE + "gate: 1\n", ":3, gate", "'gate' is not known here"),
        ("gates:\n" + GATE + "gates: []\n", ":3, gates", "'gates' stands here twice"),
        ("gates: []", ":1, gates", "without gates everything would pass"),
        ("gates: {}", ":1, gates", "here stands a list"),
        ("gates:\n" + GATE + GATE, ":2, gates", "two gates are called 'g'"),
        ("gates:\n" + GATE + "  - {name: h, metric: rmse}\n", ":3, gates[1]", "'op' is missing"),
        ("gates:\n" + GATE.replace("value", "vlaue"), ":2, gates[0].vlaue", "'vlaue' is not known here"),
        ("gates:\n" + GATE.replace("0.9", "high"), ":2, gates[0].value", "here stands a number"),
        ("gates:\n" + GATE.replace("'>'", "1"), ":2, gates[0].op", "here stands a word"),
        ("gates:\n" + GATE.replace("pr_auc", "pr_auk"), ":2, gates[0]", "no figure is called 'pr_auk'"),
        ("gates:\n" + GATE.replace("}", ", min_groups: -1}"), ":2, gates[0].min_groups", "a count is 0 or more"),
        ("gates:\n" + GATE.replace("}", ", min_groups: 1.5}"), ":2, gates[0].min_groups", "a whole number"),
        ("gates:\n" + GATE.replace("}", ", tasks: [bin]}"), ":2, gates[0].tasks", "there is no task 'bin'"),
        ("gates:\n" + GATE + "approvals: {people: -1}", ":3, approvals.people", "so few cannot approve"),
        ("gates:\n" + GATE + "approvals: {people: yes}", ":3, approvals.people", "here stands a whole number"),
        ("gates:\n" + GATE + "approvals: {people: 3, from: [shift]}", ":3, approvals.people", "of 2 who may approve 3"),
        ("gates:\n" + GATE + "approvals: {people: 1, from: [nobody]}", ":3, approvals.from[0]", "there is no team"),
        ("gates:\n" + GATE + "approvals: {people: 1, last: soon}", ":3, approvals.last", "soon"),
        ("gates:\n" + GATE + "promote: {auto: 1}", ":3, promote.auto", "here stands true or false"),
        (
            "gates:\n" + GATE + "approvals: {people: 1}\npromote: {auto: true}",
            ":4, promote.auto",
            "nothing that needs an approval is promoted by itself",
        ),
    ],
)
def test_a_fault_is_told_by_file_line_and_key(folder: Path, text: str, place: str, what: str) -> None:
    """And with what to write instead; the check of all finds it, and the other policies stand."""
    path = folder / "promotion" / "stop.yaml"
    path.write_text(text)

    with pytest.raises(DefinitionError) as caught:
        promotion_policy(folder, "stop")

    assert caught.value.where == f"{path}{place}"
    assert what in caught.value.what
    assert caught.value.fix
    found = promotion_policies(folder)
    assert isinstance(found["stop"], DefinitionError)
    assert isinstance(found["default"], Policy)


def test_without_any_policy_nothing_is_judged(tmp_path: Path) -> None:
    """A folder that is not there is a fault, not a pass."""
    with pytest.raises(DefinitionError, match="cannot read a policy"):
        promotion_policy(tmp_path, "pump")
