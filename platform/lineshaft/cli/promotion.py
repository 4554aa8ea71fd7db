"""Commands about who may answer: models promote, rollback, clear, history, verify."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

import typer

from lineshaft.cli.actor import acting
from lineshaft.cli.app import Json
from lineshaft.cli.models import models
from lineshaft.cli.output import notes, show
from lineshaft.clock import moment
from lineshaft.errors import CorruptError, InputError, NotFoundError
from lineshaft.ops.followers import followers
from lineshaft.ops.model_release import promote_judged
from lineshaft.ops.openlineage import Dataset, told_of
from lineshaft.registry.audit import faults
from lineshaft.registry.models import ModelRegistry
from lineshaft.registry.records import Assignment, Slot, answering
from lineshaft.registry.slots import told
from lineshaft.wiring import connect, policy_of

Reason = Annotated[str, typer.Option(help="Why, for whoever reads the history.")]
InsteadOf = Annotated[
    int | None,
    typer.Option(help="The version you believe is there: where it is another by now, nothing changes."),
]
Wait = Annotated[bool, typer.Option(help="Say which servers follow, after three seconds at most.")]
Which = Annotated[Slot, typer.Option("--slot", "--to", help="What it is to do: answer, be compared, or watch.")]
Site = Annotated[str, typer.Option(help="For the assets of this site alone; `lineshaft sites` says who stands where.")]


@models.command("promote")
def promote(
    version: Annotated[str, typer.Argument(help="MODEL@NUMBER")],
    reason: Reason,
    slot: Which = Slot.CHAMPION,
    site: Site = "",
    instead_of: InsteadOf = None,
    wait: Wait = True,
    as_json: Json = False,
) -> None:
    """Give a version a slot, champion unless said; its gates judge it first, by the policy of today.

    Servers follow within a second; who does, and who is late, is said.
    """
    model, number = parse_version(version)
    actor = acting(reason)
    with connect() as parts:
        registry, environment = parts.registry, parts.settings.project
        expected = _expected(registry.held(model, environment, slot, site=site), instead_of)
        with told_of(parts.settings, f"promote/{model}", clock=parts.clock) as run:
            run.inputs = [Dataset(name=f"models/{model}", version=str(number))]
            made = promote_judged(
                registry,
                registry.get(model, number),
                slot,
                site=site,
                policy_of=policy_of(parts),
                environment=environment,
                actor=actor,
                reason=reason,
                expected=expected,
            )
            slot_name = f"slots/{environment}/{model}/{slot}" + (f"/{site}" if site else "")
            run.outputs = [Dataset(name=slot_name, version=str(number))]
        _tell(registry, made, wait=wait, as_json=as_json)


@models.command("rollback")
def rollback(
    model: str,
    reason: Reason,
    site: Site = "",
    instead_of: InsteadOf = None,
    wait: Wait = True,
    as_json: Json = False,
) -> None:
    """Give a model back to the champion before this one; once more, to the one before that."""
    actor = acting(reason)
    with connect() as parts:
        registry, environment = parts.registry, parts.settings.project
        expected = _expected(registry.held(model, environment, site=site), instead_of)
        made = registry.rollback(
            model, environment=environment, actor=actor, reason=reason, site=site, expected=expected
        )
        _tell(registry, made, wait=wait, as_json=as_json)


@models.command("clear")
def clear(model: str, slot: Which, reason: Reason, site: Site = "") -> None:
    """Leave the slot of a challenger or a shadow empty, or any of a site to whom the environment has."""
    actor = acting(reason)
    with connect() as parts:
        place = parts.settings.project
        parts.registry.clear(model, environment=place, slot=slot, site=site, actor=actor, reason=reason)


@models.command("history")
def history(model: str, as_json: Json = False) -> None:
    """Show every act on a model, oldest first: who, when, why, and the digest that seals it."""
    with connect() as parts:
        lines = [asdict(line) for line in parts.registry.history(model)]
    if not lines:
        raise unknown_model(model)
    if not as_json:
        shown = ("action", "number", "before", "after", "actor", "reason")
        lines = [
            {"at": moment(line["at_us"]), **{name: line[name] for name in shown}, "digest": line["digest"][:12]}
            for line in lines
        ]
    show(lines, title=f"history of {model}", as_json=as_json)


@models.command("verify")
def verify(
    model: Annotated[str, typer.Argument(help="One model; every model unless said.")] = "",
    head: Annotated[str, typer.Option(help="A digest you kept: it must be a line of the model's history.")] = "",
    as_json: Json = False,
) -> None:
    """Prove that histories are whole and unaltered, that all the registry says follows, and artifacts are as kept."""
    if head and not model:
        raise InputError("a digest is of one model's history", where="--head", fix="name the model")
    if head and (len(head) != 64 or set(head) - set("0123456789abcdef")):
        raise InputError(f"{head!r} is no digest: it has 64 hex digits", where="--head", fix="copy all of it")
    rows, found = [], []
    with connect() as parts:
        for name in [model] if model else [one.name for one in parts.registry.models()]:
            account = parts.registry.account(name)
            wrong = [*faults(account), *parts.registry.damaged(name)]
            if head and not any(line.digest == head for line in account.lines):
                wrong.append(f"no line of {name!r} has the digest {head}: its history was rewritten or cut off")
            if model and not account.versions and not account.lines:
                raise unknown_model(name)
            end = account.lines[-1].digest if account.lines else ""
            rows.append({"model": name, "lines": len(account.lines), "faults": len(wrong), "head": end})
            found.extend(wrong)
    show(rows, title="histories", as_json=as_json)
    if found:
        raise CorruptError(
            "; ".join(found), where="the registry", fix="compare with a backup; promote nothing until it is explained"
        )


def parse_version(text: str) -> tuple[str, int]:
    """Read MODEL@NUMBER.

    >>> parse_version("bearing_failure@7")
    ('bearing_failure', 7)
    """
    model, _, number = text.rpartition("@")
    if not model or not number.isdecimal():
        raise InputError(f"{text!r} names no version", fix="write MODEL@NUMBER, as `lineshaft models` lists them")
    return model, int(number)


def unknown_model(model: str) -> NotFoundError:
    """Return the error of a model that nothing is known of."""
    return NotFoundError(f"nothing is known of a model {model!r}", fix="see `lineshaft models`")


def _expected(held: Assignment | None, instead_of: int | None) -> int:
    """Return the assignment to take over from: none that there is, where the caller believed in another version."""
    seen = 0 if held is None else held.id
    believed = instead_of is None or (held is not None and held.number == instead_of)
    return seen if believed else -1


def _tell(registry: ModelRegistry, made: Assignment, *, wait: bool, as_json: bool) -> None:
    """Show what an act led to, with the digest to keep, and which servers follow."""
    after = told(made.environment, made.slot, made.number, made.site)
    acts = reversed(registry.history(made.model))  # somebody else may have acted since
    line = next(one for one in acts if one.after == after and one.at_us == made.valid_from_us)
    row: dict[str, Any] = {"model": f"{made.model}@{made.number}", "slot": made.slot, "environment": made.environment}
    if made.site:
        standing = list(registry.sites.placed(made.environment).values()).count(made.site)
        row |= {"site": made.site, "assets": standing}
    row |= {"instead_of": line.before, "head": line.digest}
    if wait and made.slot is Slot.CHAMPION:
        found = followers(registry, made)
        name = answering(made.model, made.site)
        late = [f"{one.replica} serves {made.model}@{one.models.get(name, '?')}" for one in found.late]
        row |= {"following": len(found.following), "late": late if as_json else ", ".join(late)}
    show([row], title=line.action, as_json=as_json)
    if row.get("assets") == 0:
        notes.print(f"no asset stands at {made.site!r}: `lineshaft sites place` says which do")
