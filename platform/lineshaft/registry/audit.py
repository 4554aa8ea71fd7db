"""Does what the registry says follow from its sealed history, and is that whole? Pure: records in, faults out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from lineshaft.errors import CorruptError
from lineshaft.registry.history import evidence, verify
from lineshaft.registry.records import Assignment, Head, ModelVersion, Transition, Verdict
from lineshaft.registry.slots import told


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """All that is recorded of one model, each list oldest first, and the heads that were noted outside the database."""

    model: str
    lines: Sequence[Transition]
    head: Head | None
    versions: Sequence[ModelVersion]
    verdicts: Sequence[tuple[int, Verdict]]  # with the number each is about
    assignments: Sequence[Assignment]
    noted: Sequence[Head] = ()


def faults(account: Account) -> list[str]:
    """Return everything that does not hold, in words; nothing is right.

    What this cannot find: a history made up anew from its first line, in every table, by somebody who also rewrote the
    notes. Against that, keep a digest elsewhere; a promotion prints it.
    """
    try:
        verify(account.model, account.lines, account.head)
    except CorruptError as error:
        return [error.what]
    found = []
    for head in account.noted:
        if head.length > len(account.lines) or account.lines[head.length - 1].digest != head.digest:
            found.append(f"line {head.length} was noted as {head.digest[:12]}… and is not there: history was rewritten")
            break
    return [*found, *_versions(account), *_verdicts(account), *_assignments(account)]


def _versions(account: Account) -> list[str]:
    """Compare versions with the lines that registered them and moved them since."""
    registered = {line.number: line for line in account.lines if line.action == "register"}
    state = {line.number: line.after for line in account.lines if line.action in {"register", "judge", "retire"}}
    there = {version.number for version in account.versions}
    found = [f"{account.model}@{number} was registered and is gone" for number in registered if number not in there]
    for version in account.versions:
        line = registered.get(version.number)
        if line is None:
            found.append(f"{version.ref} is in no line of the history")
            continue
        if line.evidence and line.evidence != evidence(version):
            found.append(f"{version.ref} is not as it was registered")
        if version.state != state[version.number]:
            found.append(f"{version.ref} is {version.state}, its history says {state[version.number]}")
    return found


def _verdicts(account: Account) -> list[str]:
    """Compare verdicts with the lines about them, and promotions with the verdict they name."""
    judged = [line for line in account.lines if line.action == "judge"]
    found = []
    if len(judged) != len(account.verdicts):
        found.append(f"{len(judged)} verdicts in the history, {len(account.verdicts)} in the table")
    for line, (number, verdict) in zip(judged, account.verdicts, strict=False):
        if line.number != number or (line.evidence and line.evidence != evidence(verdict)):
            found.append(f"the verdict of gate {verdict.gate!r} on {account.model}@{number} is not as it was given")
    digests = {(line.number, line.digest) for line in judged}
    resting = [one for one in account.lines if one.action in {"promote", "rollback"} and one.evidence]
    lost = [one for one in resting if (one.number, one.evidence) not in digests]
    return [*found, *(f"{one.action} of {account.model}@{one.number} rests on a verdict that is gone" for one in lost)]


def _assignments(account: Account) -> list[str]:
    """Make every assignment again from the history, and compare."""
    made: list[Assignment] = []
    for line in account.lines:
        if line.action not in {"promote", "rollback", "clear"}:
            continue
        place = (line.after or line.before).rpartition("=")[0]
        environment, _, slot = place.rpartition(":")
        for index, one in enumerate(made):
            if one.valid_to_us is None and f"{one.environment}:{one.slot}" == place:
                made[index] = replace(one, valid_to_us=max(line.at_us, one.valid_from_us))
        if line.after:
            row = {"model": account.model, "number": line.number, "valid_from_us": line.at_us, "valid_to_us": None}
            made.append(Assignment(**row, id=0, environment=environment, slot=slot))  # type: ignore[arg-type]
    recorded = [replace(one, id=0) for one in account.assignments]
    found = [
        f"who held {told(is_.environment, is_.slot, is_.number)} and when is not what the history says"
        for was, is_ in zip(made, recorded, strict=False)
        if was != is_
    ]
    if len(made) != len(recorded):
        found.append(f"{len(made)} assignments in the history, {len(recorded)} in the table")
    return found
