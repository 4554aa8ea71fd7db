"""The suite of a training set: what its views promise, under the names it has there, and what is the model's own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pyarrow as pa

from lineshaft.specs import View
from lineshaft_governance.checks.suites import Check, Suite, Suites

LABEL = "label"
AT = "event_time"


def training_suite(suites: Suites, model: str, views: Sequence[View], table: pa.Table) -> Suite:
    """Return the checks for the columns that a training set has; a service may leave features of its views out."""
    own = suites.about("training", model)
    keys = dict.fromkeys([*(key for view in views for key, _ in view.entity_keys), AT])
    checks = [
        Check(
            kind="unique_key",
            keys=tuple(name for name in keys if name in table.column_names),
            why="a moment is learned from once",
        )
    ]
    if LABEL in table.column_names:
        checks.append(Check(kind="not_null", column=LABEL, why="without a label there is nothing to learn"))
    for view in views:
        suite = suites.about("view", view.name)
        checks += [_prefixed(check, view) for check in (suite.checks if suite else ())]
    there = [check for check in checks if _named(check, table.column_names)]
    where = own.where if own is not None else "suites of its views"
    return Suite(
        name=model,
        about="training",
        checks=(*there, *(own.checks if own is not None else ())),
        sha256=own.sha256 if own is not None else "",
        where=where,
    )


def _prefixed(check: Check, view: View) -> Check:
    """Return a check of a view's column as one of a service's."""
    return replace(
        check,
        column=f"{view.name}__{check.column}" if check.column else "",
        other=f"{view.name}__{check.other}" if check.other else "",
    )


def _named(check: Check, columns: Sequence[str]) -> bool:
    """Say whether every column of a check is there, its pattern spelt out."""
    if check.kind == "unique_key":
        return set(check.keys) <= set(columns)
    spelt = Suite(name="", checks=(check,)).expand(columns)
    return all(name in columns for one in spelt for name in one.columns)
