"""The chain of a model's transitions: each line covers the one before, so none can be changed unseen."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict

from lineshaft.errors import CorruptError
from lineshaft.registry.records import Approval, Conclusion, Experiment, Head, ModelVersion, Transition, Verdict
from lineshaft.specs import Evidence


def genesis(model: str) -> str:
    """Return what the first line of a model's chain points at."""
    return hashlib.sha256(f"lineshaft:{model}".encode()).hexdigest()


def seal(line: Transition) -> str:
    """Return the digest of a line, which covers every field of it and the digest before.

    >>> from lineshaft.registry.records import Transition
    >>> line = Transition(model="m", number=1, action="register", before="", after="registered", actor="ana",
    ...     reason="", at_us=0, previous_digest=genesis("m"), digest="")
    >>> len(seal(line))
    64
    """
    fields = asdict(line)
    del fields["digest"]
    if not line.evidence:  # lines of before there was evidence are sealed as they were
        del fields["evidence"]
    return _digest(fields)


def evidence(record: ModelVersion | Verdict | Evidence | Approval | Experiment | Conclusion) -> str:
    """Return the digest of what an act rests on: all of a record, but the state of a version, which moves."""
    fields = asdict(record)
    fields.pop("state", None)
    if fields.get("provenance", "") is None:  # versions of before there was any keep the digest they were given
        del fields["provenance"]
    if fields.get("figures") == {}:  # verdicts of before there were figures are told as they were
        del fields["figures"]
    return _digest(fields)


def _digest(fields: dict[str, object]) -> str:
    return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()


def verify(model: str, lines: Sequence[Transition], head: Head | None) -> None:
    """Raise CorruptError at the first line that does not follow from the one before, or where the end is cut off."""
    previous = genesis(model)
    for position, line in enumerate(lines):
        if line.previous_digest != previous or seal(line) != line.digest:
            raise CorruptError(
                f"history of model {model!r} was altered at line {position + 1}",
                fix="compare with a backup of the table ls_transition; do not promote until it is explained",
            )
        previous = line.digest
    kept = Head(length=0, digest=genesis(model)) if head is None else head
    if (kept.length, kept.digest) != (len(lines), previous):
        raise CorruptError(
            f"history of model {model!r} has {len(lines)} lines and does not end where it ended: after {kept.length}",
            where=f"newest digest {kept.digest}",
            fix="compare with a backup of the table ls_transition; do not promote until it is explained",
        )
