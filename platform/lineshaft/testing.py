"""What users need to test features and models of their own: the oracle, comparisons, a clock, a model, a drift."""

from __future__ import annotations

from typing import Any

from lineshaft.clock import ManualClock
from lineshaft.drift.findings import Finding
from lineshaft.registry.records import Candidate, ViewPin
from lineshaft.tiles.comparison import Comparison, compare_rows, differing_values, sort_rows
from lineshaft.tiles.oracle import oracle_rows

__all__ = [
    "Comparison",
    "ManualClock",
    "compare_rows",
    "differing_values",
    "oracle_rows",
    "small_candidate",
    "small_finding",
    "sort_rows",
]


def small_candidate(**changes: Any) -> Candidate:
    """Return a model that may be registered, as small as one can be, but for what is said of it.

    >>> made = small_candidate(model="wear", artifact=b"[]")
    >>> made.model, made.task, made.artifact, made.artifact_format
    ('wear', 'regression', b'[]', 'json')
    """
    plain: dict[str, Any] = {
        "model": "rul",
        "task": "regression",
        "service": "turbofan",
        "service_json": "{}",
        "features": ("a",),
        "pins": (ViewPin(view="ant", version="1" * 12),),
        "training_set": "e" * 64,
        "rows": 7,
        "artifact": b"{}",
        "artifact_format": "json",
        "params": {},
        "metrics": {},
        "seed": 11,
        "library": "xgboost 3.2.0",
    }
    return Candidate(**{**plain, **changes})


def small_finding(**changes: Any) -> Finding:
    """Return a drift of one column of one asset, but for what is said of it.

    >>> made = small_finding(scope="pump-2", effect=0.5)
    >>> made.scope, made.column, made.method, made.effect, made.verdict
    ('pump-2', 'v__rms', 'level', 0.5, 'drift')
    """
    plain: dict[str, Any] = {
        "column": "v__rms",
        "scope": "pump-1",
        "regime": "all",
        "method": "level",
        "effect": -1.5,
        "p": 1e-9,
        "q": 2e-9,
        "verdict": "drift",
        "rows": 7,
        "reference_effective": 90.5,
        "current_effective": 6.25,
    }
    return Finding(**{**plain, **changes})
