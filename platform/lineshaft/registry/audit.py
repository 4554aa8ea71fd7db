"""Does what the registry says follow from its sealed history, and is that whole? Pure: records in, faults out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from lineshaft.errors import CorruptError
from lineshaft.registry.history import evidence, verify
from lineshaft.registry.records import (
    Approval,
    Assignment,
    Conclusion,
    Experiment,
    Head,
    ModelVersion,
    Transition,
    Verdict,
)
from lineshaft.registry.slots import parsed, told
from lineshaft.specs import Evidence

_MOVING = frozenset({"register", "judge", "quarantine", "retire"})
_KEPT = {"judge": "verdicts", "attest": "evidence records", "approve": "approvals"}
_KEPT |= {"experiment": "experiments", "conclude": "ends of experiments"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """All that is recorded of one model, each list oldest first, and the heads that were noted outside the database."""

    model: str
    lines: Sequence[Transition]
    head: Head | None
    versions: Sequence[ModelVersion]
    verdicts: Sequence[tuple[int, Verdict]]  # with the number each is about, as those below
    assignments: Sequence[Assignment]
    evidence: Sequence[tuple[int, Evidence]] = ()
    approvals: Sequence[tuple[int, Approval]] = ()
    experiments: Sequence[tuple[int, Experiment]] = ()
    conclusions: Sequence[tuple[int, Conclusion]] = ()
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
    found += [*_versions(account), *_records(account, "judge", account.verdicts), *_rests(account)]
    found += [*_records(account, "attest", account.evidence), *_records(account, "approve", account.approvals)]
    found += [*_records(account, "experiment", account.experiments)]
    found += [*_records(account, "conclude", account.conclusions)]
    return [*found, *_assignments(account)]


def _versions(account: Account) -> list[str]:
    """Compare versions with the lines that registered them and moved them since."""
    registered = {line.number: line for line in account.lines if line.action == "register"}
    state = {line.number: line.after for line in account.lines if line.action in _MOVING}
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


_Record = Verdict | Evidence | Approval | Experiment | Conclusion


def _records(account: Account, action: str, records: Sequence[tuple[int, _Record]]) -> list[str]:
    """Compare what is kept of acts of a kind with the lines about them: as many, in order, each as it was."""
    lines = [line for line in account.lines if line.action == action]
    found = []
    if len(lines) != len(records):
        found.append(f"{len(lines)} {_KEPT[action]} in the history, {len(records)} in the table")
    for line, (number, record) in zip(lines, records, strict=False):
        if line.number != number or (line.evidence and line.evidence != evidence(record)):
            which = f"one of the {_KEPT[action]} of {account.model}@{number}"
            found.append(f"{which} is not as it was given at line {account.lines.index(line) + 1}")
    return found


def _rests(account: Account) -> list[str]:
    """Compare promotions with the verdict they name."""
    digests = {(line.number, line.digest) for line in account.lines if line.action == "judge"}
    resting = [one for one in account.lines if one.action in {"promote", "rollback"} and one.evidence]
    lost = [one for one in resting if (one.number, one.evidence) not in digests]
    return [f"{one.action} of {account.model}@{one.number} rests on a verdict that is gone" for one in lost]


def _assignments(account: Account) -> list[str]:
    """Make every assignment again from the history, and compare."""
    made: list[Assignment] = []
    for line in account.lines:
        if line.action not in {"promote", "rollback", "clear"}:
            continue
        here = parsed((line.after or line.before).rpartition("=")[0])
        environment, slot, site = here
        for index, one in enumerate(made):
            if one.valid_to_us is None and (one.environment, one.slot, one.site) == here:
                made[index] = replace(one, valid_to_us=max(line.at_us, one.valid_from_us))
        if line.after:
            row = {"model": account.model, "number": line.number, "valid_from_us": line.at_us, "valid_to_us": None}
            held = {"environment": environment, "slot": slot, "site": site}
            made.append(Assignment(**row, **held, id=0))  # type: ignore[arg-type]
    recorded = [replace(one, id=0) for one in account.assignments]
    found = [
        f"who held {told(is_.environment, is_.slot, is_.number, is_.site)} and when is not what the history says"
        for was, is_ in zip(made, recorded, strict=False)
        if was != is_
    ]
    if len(made) != len(recorded):
        found.append(f"{len(made)} assignments in the history, {len(recorded)} in the table")
    return found
