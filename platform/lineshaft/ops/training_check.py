"""The checkpoint before training: a set that breaks a check of its views, or of its own suite, trains nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import pyarrow as pa

from lineshaft.errors import CheckFailedError, CheckNotRunError
from lineshaft.ops.jobs import COULD_NOT_RUN, PASSED, Verdict
from lineshaft.ops.quarantine import REASON, RELEASED, held_batches, keep_aside, of_training, quarantine_folder
from lineshaft.ops.training_set import fingerprint
from lineshaft.specs import View

Judge = Callable[[str, Sequence[View], pa.Table], Verdict]
"""Judge the training set of a model that reads these views."""


def accept(model: str, table: pa.Table, *, views: Sequence[View], judge: Judge, work: Path) -> None:
    """Return if a training set may be learned from: it passed, or somebody released what it was refused for.

    Raises
    ------
    CheckFailedError
        If rows of it break a check; names the check, whose it is, and what to do.
    CheckNotRunError
        If a check could not be run: of the set nothing is known.
    """
    verdict = judge(model, views, table)
    if verdict.outcome == PASSED:
        return
    reasons = Counter(one for text in verdict.quarantined[REASON].to_pylist() for one in text.split("; "))
    (first, count), more = reasons.most_common(1)[0], len(reasons) - 1
    if verdict.outcome == COULD_NOT_RUN:
        what = f"the training set of {model!r} could not be checked: {first}"
        raise CheckNotRunError(what, where=owner(first, views), fix="mend that and train again; no row was judged bad")
    folder = quarantine_folder(work, of_training(model))
    if keep_aside(verdict.quarantined, folder, fingerprint(table)) == RELEASED:
        return
    batch = next(one.id for one in reversed(held_batches(work)) if one.what == of_training(model))
    others = f", and {more} checks more" if more else ""
    what = f"the training set of {model!r} breaks a check: {first}, in {count:,} of {table.num_rows:,} rows{others}"
    fix = f"see `lineshaft quarantine show {batch}`; if the data is right, `lineshaft quarantine release {batch}`"
    raise CheckFailedError(what, where=owner(first, views), fix=f"{fix} with a reason, and train again")


def owner(reason: str, views: Sequence[View]) -> str:
    """Say whose check it is, from the view that the column of a reason is of.

    >>> from lineshaft.specs import Source, View
    >>> source = Source(name="s", channels=(), units=())
    >>> view = View(name="v", source=source, entity_keys=(), features=(), owner="ana@x.example")
    >>> owner("v__rms_1m at least 0", [view])
    'view v, owner ana@x.example'
    """
    for view in views:
        if reason.startswith(f"{view.name}__"):
            return f"view {view.name}, owner {view.owner or view.team or 'nobody'}"
    return "the training set's own suite"
