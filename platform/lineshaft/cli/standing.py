"""Commands about what a version is worth: models approve, quarantine, retire, evidence, policies."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from lineshaft.cli.actor import acting
from lineshaft.cli.app import Json
from lineshaft.cli.models import models
from lineshaft.cli.output import show
from lineshaft.cli.promotion import Reason, parse_version, unknown_model
from lineshaft.clock import moment
from lineshaft.errors import DefinitionError
from lineshaft.models.gate import Gate, Policy
from lineshaft.ops.model_release import consent
from lineshaft.registry.consents import who
from lineshaft.registry.models import ModelRegistry
from lineshaft.registry.records import ModelVersion
from lineshaft.wiring import connect, governance

Version = Annotated[str, typer.Argument(help="MODEL@NUMBER")]


@models.command("approve")
def approve(version: Version, reason: Reason, as_json: Json = False) -> None:
    """Agree that a version may be promoted by somebody else: under the policy of today, for as long as it says."""
    model, number = parse_version(version)
    actor = acting(reason)
    with connect() as parts:
        with governance(parts) as checks:
            policy = checks.promotion(model)
        given = parts.registry.approve(
            model, number, consent=consent(policy), lasts_us=policy.approvals_last_us, actor=actor, reason=reason
        )
    row = {"model": version, "approved_by": given.actor, "until": moment(given.expires_us), "policy": policy.name}
    show([{**row, "policy_sha256": policy.sha256}], title="approved", as_json=as_json)


@models.command("quarantine")
def quarantine(version: Version, reason: Reason, as_json: Json = False) -> None:
    """Let a version serve nowhere any more; where it is champion, the last good one returns in the same moment."""
    model, number = parse_version(version)
    actor = acting(reason)
    with connect() as parts:
        returned = parts.registry.quarantine(model, number, actor=actor, reason=reason)
    rows = [{"quarantined": version, "environment": one.environment, "champion": one.number} for one in returned]
    show(rows or [{"quarantined": version, "environment": "", "champion": None}], title="quarantine", as_json=as_json)


@models.command("retire")
def retire(version: Version, reason: Reason, as_json: Json = False) -> None:
    """Put a version away that holds no slot; its record and its file stay."""
    model, number = parse_version(version)
    actor = acting(reason)
    with connect() as parts:
        parts.registry.retire(model, number, actor=actor, reason=reason)
    show([{"retired": version, "by": actor, "reason": reason}], title="retired", as_json=as_json)


@models.command("show")
def show_version(
    version: Annotated[str, typer.Argument(help="MODEL@NUMBER, or MODEL: its newest version.")], as_json: Json = False
) -> None:
    """Show what a version rests on: what each gate said, by which figures, and who approved it."""
    with connect() as parts:
        registry, now = parts.registry, parts.clock.now_us()
        known = _version(registry, version)
        model, number = known.model, known.number
        rows: list[dict[str, Any]] = [
            {"what": "version", "who": known.actor, "outcome": known.state, "detail": known.ref}
        ]
        rows += [
            {"what": f"gate {one.gate}", "who": f"policy {one.policy_sha256[:12]}", "outcome": one.outcome}
            | {"detail": one.detail}
            | ({"figures": dict(one.figures)} if as_json else {})
            for one in registry.verdicts(model, number)
        ]
        rows += [
            {"what": "approval", "who": one.actor, "outcome": "expired" if one.expires_us <= now else "valid"}
            | {"detail": f"policy {one.policy_sha256[:12]}, until {moment(one.expires_us)}: {one.reason}"}
            for one in registry.approvals(model, number)
        ]
    show(rows, title=known.ref, as_json=as_json)


@models.command("policies")
def policies(as_json: Json = False) -> None:
    """Check every policy of promotion and show what it asks for; wrong ones are told with file, line and key."""
    with connect() as parts, governance(parts) as checks:
        found = checks.promotions()
    faults = [one for one in found.values() if isinstance(one, DefinitionError)]
    rows = [_policy_row(name, one) for name, one in found.items() if isinstance(one, Policy)]
    show(rows, title="policies of promotion", as_json=as_json)
    if faults:
        first = faults[0]
        also = "".join(f"; {one.where}: {one.what}" for one in faults[1:])
        raise DefinitionError(first.what + also, where=first.where, fix=first.fix)


def _version(registry: ModelRegistry, named: str) -> ModelVersion:
    """Return a version by MODEL@NUMBER, or the newest by MODEL."""
    if "@" in named:
        return registry.get(*parse_version(named))
    versions = registry.versions(named)
    if not versions:
        raise unknown_model(named)
    return versions[0]


def _policy_row(name: str, policy: Policy) -> dict[str, Any]:
    """Return a policy as a row."""
    asked = consent(policy)
    able = who(asked, besides=("whoever registered or promotes",))
    return {
        "model": name,
        "gates": "; ".join(gate_words(gate) for gate in policy.gates),
        "approvals": f"{asked.people} of {able}" if asked.people else "",
        "by_itself": policy.auto,
        "sha256": policy.sha256,
    }


def gate_words(gate: Gate) -> str:
    """Return in words what a gate asks for.

    >>> gate_words(Gate(name="g", metric="pr_auc", op=">", value=0.92, min_positives=20, tasks=("binary",)))
    'g: pr_auc > 0.92, by its low end, min_positives 20, for binary'
    >>> gate_words(Gate(name="n", metric="rmse", op="<", vs="champion", margin=-0.02))
    'n: rmse < champion, margin -0.02, by its high end'
    """
    bar = f"{gate.vs}, margin {gate.margin:g}" if gate.vs else f"{gate.value:g}"
    end = "the figure itself" if gate.use == "value" else f"its {gate.near} end"
    least = [
        f"{name} {getattr(gate, name)}"
        for name in ("min_groups", "min_positive_groups", "min_positives")
        if getattr(gate, name)
    ]
    whose = [f"for {', '.join(gate.tasks)}"] if gate.tasks else []
    return ", ".join([f"{gate.name}: {gate.metric} {gate.op} {bar}", f"by {end}", *least, *whose])
