"""A drift check as people read it: a line for each input, all that was found of it behind the line."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

from lineshaft.drift.distances import psi_limit
from lineshaft.drift.findings import NEW, Finding, outcome_of
from lineshaft.drift.policy import DriftPolicy
from lineshaft.drift.rows import FLEET

Line = dict[str, Any]
"""What is shown of a feature."""
_WIDE = {NEW: 1, FLEET: 2}


def lines_of(findings: list[Finding], policy: DriftPolicy) -> list[Line]:
    """Return a line for each input, those that drift first; figures are of all assets, or of the only one."""
    lines = []
    for name in dict.fromkeys(one.column for one in findings):
        mine = [one for one in findings if one.column == name]
        whole = {one.method: one for one in sorted(mine, key=lambda one: _WIDE.get(one.scope, 0))}
        distance, index, level = whole.get("distribution"), whole.get("stability"), whole.get("level")
        lines.append(
            {
                "feature": name,
                "outcome": outcome_of(mine),
                "ks": distance.effect if distance else math.nan,
                "ks_p": distance.p if distance else math.nan,
                "p": min((one.p for one in mine if one.p == one.p), default=math.nan),
                "q": min((one.q for one in mine if one.q == one.q), default=math.nan),
                "psi": index.effect if index else math.nan,
                "psi_limit": _limit(distance, policy),
                "shift_sd": level.effect if level else math.nan,
                "current_rows": distance.rows if distance else 0,
                "reference_effective": distance.reference_effective if distance else math.nan,
                "current_effective": distance.current_effective if distance else math.nan,
                "findings": [asdict(one) for one in mine if one.verdict == "drift"],
            }
        )
    return sorted(lines, key=lambda line: (line["outcome"] != "drift", -_or_zero(line["ks"])))


def _limit(distance: Finding | None, policy: DriftPolicy) -> float:
    """Return what the index stays under by chance for what these rows are worth."""
    if distance is None or not distance.current_effective > 0:
        return math.nan
    return psi_limit(distance.reference_effective, distance.current_effective, bins=policy.bins, rate=policy.fdr)


def _or_zero(value: float) -> float:
    return 0.0 if math.isnan(value) else value
