"""Who is judged by whom: assets that a model never saw, or a future that it could not have known."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lineshaft.errors import InputError
from lineshaft.models.matrix import Examples, folds, held_out
from lineshaft.models.spec import ModelSpec

_HOUR_US = 3_600_000_000


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Part:
    """Rows judged together, and the rows that their judge learns from."""

    judged: NDArray[np.bool_]
    learned: NDArray[np.bool_]


def judged_together(spec: ModelSpec, rows: Examples) -> list[Part]:
    """Return the parts of a split: one held out, or each fold in turn.

    By asset, a judge learns from all other assets. By time, it learns from what was known before the part began: rows
    whose label reaches into it, or into the embargo before it, are in neither; folds walk forward through the record.

    Raises
    ------
    InputError
        If there are too few groups, or nothing is left to learn from.
    """
    if spec.split == "time":
        return list(_by_time(spec, rows.times))
    if not spec.folds:
        tests = [held_out(rows.groups, share=spec.test_share, seed=spec.seed)]
    else:
        fold = folds(rows.groups, count=spec.folds, seed=spec.seed)
        tests = [fold == number for number in range(spec.folds)]
    return [Part(judged=test, learned=~test) for test in tests]


def learned_from(spec: ModelSpec, rows: Examples) -> Examples:
    """Return what the artifact itself learns from: all rows where the spec has folds, else those of the one part."""
    return rows if spec.folds else rows.take(judged_together(spec, rows)[0].learned)


def _by_time(spec: ModelSpec, times: NDArray[np.int64]) -> Iterator[Part]:
    """Yield the parts from the earliest to the latest, of as many rows each, all rows of a moment together."""
    ordered = np.sort(times)
    starts = [1 - spec.test_share] if not spec.folds else np.arange(1, spec.folds + 1) / (spec.folds + 1)
    edges = [int(ordered[int(len(ordered) * share)]) for share in starts]
    for begin, end in zip(edges, [*edges[1:], None], strict=True):
        judged = (times >= begin) if end is None else (times >= begin) & (times < end)
        learned = times + spec.reach_us + spec.embargo_us < begin
        if not judged.any() or not learned.any():
            apart = (spec.reach_us + spec.embargo_us) / _HOUR_US
            before = (begin - int(ordered[0])) / _HOUR_US
            raise InputError(
                f"a split by time has {before:.4g} h before a part that is judged, and labels with the embargo reach"
                f" {apart:.4g} h ahead: nothing is left to learn from or to judge",
                where=spec.name,
                fix="ingest a longer record, use fewer folds, or a shorter horizon or embargo",
            )
        yield Part(judged=judged, learned=learned)
