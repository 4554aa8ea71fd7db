"""What can be wrong with a declaration: one stable code each, documented in docs/reference/definition-faults.md."""

from __future__ import annotations

from dataclasses import dataclass

from lineshaft.errors import DefinitionError

CODES: dict[str, str] = {
    "LS-DEF-001": "a module of the repository cannot be imported",
    "LS-DEF-002": "a module is named like one of Python's own or an installed package",
    "LS-DEF-004": "two objects of one kind share a name",
    "LS-DEF-005": "an object has no owner",
    "LS-DEF-006": "an object has no team",
    "LS-DEF-007": "a view has no entity",
    "LS-DEF-008": "an entity's value type cannot be a key",
    "LS-DEF-009": "a source does not say its channels",
    "LS-DEF-010": "a unit is not known",
    "LS-DEF-011": "a function is not in the catalogue",
    "LS-DEF-012": "a column is not a channel of the source",
    "LS-DEF-013": "two features of a view share a name",
    "LS-DEF-014": "a window is not a multiple of its slide",
    "LS-DEF-015": "a view has more than one slide",
    "LS-DEF-016": "a window or slide is missing or not positive",
    "LS-DEF-017": "a ttl is too short: rows would be stale before the next one is there",
    "LS-DEF-018": "grace, lateness or largest age cannot be read",
    "LS-DEF-019": "schema and aggregations name different features",
    "LS-DEF-020": "an on-demand feature reads a feature that no view has",
    "LS-DEF-021": "an on-demand function is not in the catalogue",
    "LS-DEF-022": "an on-demand function gets the wrong number of inputs",
    "LS-DEF-023": "a service names a view or feature that is not declared, or requires one that it does not have",
    "LS-DEF-024": "an object carries code; transforms are named functions of installed packages",
    "LS-DEF-025": "a field's type is not supported",
    "LS-DEF-026": "a stream view has no aggregations",
    "LS-DEF-027": "a name cannot be part of `view__feature`",
    "LS-DEF-028": "an object belongs to another team",
    "LS-DEF-029": "two views mean the same",
    "LS-DEF-030": "a band reaches above half the sampling rate",
    "LS-DEF-031": "a batch view's source has no path or no timestamp field",
    "LS-DEF-032": "the repository declares nothing, and an apply would remove all there is",
    "LS-DEF-033": "a service imputes a value that does not fit, or in a column that it requires or does not have",
    "LS-DEF-034": "a field of the request is no number, or its name means something else",
    "LS-DEF-035": "a tag is named like one of ours and is none, or none of this kind of object",
    "LS-DEF-036": "a change would take away what a live model reads",
    "LS-DEF-037": "a join key has two types",
    "LS-DEF-038": "a channel or column of one place is said to be in two units",
    "LS-DEF-039": "an on-demand feature compares numbers of unlike units",
    "LS-DEF-040": "a team is not in the teams file",
    "LS-DEF-041": "whoever applies may not change the object",
    "LS-DEF-042": "a service reads a view that is deprecated",
    "LS-DEF-043": "a service begins to read a view after the date of its deprecation",
    "LS-DEF-044": "the date of a deprecation cannot be read",
}
"""Every code with its meaning. Codes are never reused; 003 was given up before the first release."""

WARNINGS = frozenset({"LS-DEF-029", "LS-DEF-030", "LS-DEF-039", "LS-DEF-042"})
"""Faults that are shown but refuse nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing that is wrong, where it stands in the repository, and how to mend it."""

    code: str
    what: str
    where: str = ""  # file:line
    shown: str = ""  # the line itself
    fix: str = ""

    @property
    def warning(self) -> bool:
        """Tell whether the fault refuses nothing."""
        return self.code in WARNINGS

    def __str__(self) -> str:
        """Write the fault as `lineshaft plan` prints it."""
        place = f"\n  {self.where}   {self.shown}".rstrip() if self.where else ""
        fix = f"\n  {self.fix}" if self.fix else ""
        page = f" · docs/reference/definition-faults.md#{self.code.lower()}"
        return f"{self.code}  {self.what}{place}{fix or chr(10) + '  see'}{page}"


def refuse(faults: tuple[Fault, ...]) -> None:
    """Raise `DefinitionError` naming every fault that is not a warning; do nothing where there is none."""
    errors = [fault for fault in faults if not fault.warning]
    if errors:
        count = f"{len(errors)} fault{'s' if len(errors) > 1 else ''} in the feature repository"
        raise DefinitionError("\n".join([count, *map(str, errors)]), fix="mend every fault listed; nothing was applied")
