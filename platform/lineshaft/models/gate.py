"""May this version be used? A pure decision from figures and a policy."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from lineshaft.errors import DefinitionError


@dataclass(frozen=True, slots=True, kw_only=True)
class GatePolicy:
    """What a version must show: the near end of its interval beats the baseline by a margin, on enough evidence."""

    name: str
    metric: str
    better: str  # "higher" or "lower"
    margin: float = 0.0  # higher: baseline + margin; lower: baseline x (1 - margin)
    min_groups: int = 5
    min_positive_groups: int = 0  # assets with positives among those held out
    sha256: str = ""

    def __post_init__(self) -> None:
        """Refuse a gate that would pass the wrong versions.

        Raises
        ------
        DefinitionError
            If `better` is neither direction, or the margin is negative or no number.
        """
        if self.better not in ("higher", "lower") or not 0 <= self.margin < math.inf:
            what = f"gate {self.name!r} cannot judge: better {self.better!r}, margin {self.margin!r}"
            raise DefinitionError(what, fix='write better: "higher" or "lower", and a margin of 0 or more')


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """pass, fail, or unknown (too little evidence: never a pass), and the figures it rests on."""

    outcome: str
    detail: str


def judge(policy: GatePolicy, figures: Mapping[str, float]) -> Judgement:
    """Compare a version's figures with its baseline.

    >>> policy = GatePolicy(name="g", metric="rmse", better="lower", margin=0.1)
    >>> judge(policy, {"rmse": 9.0, "rmse_high": 10.0, "baseline_rmse": 40.0, "test_groups": 30})
    Judgement(outcome='pass', detail='rmse 9, 95 % end 10, must be below 36 (baseline 40)')
    >>> judge(policy, {"rmse": 9.0, "rmse_high": 10.0, "baseline_rmse": 40.0, "test_groups": 3}).outcome
    'unknown'
    """
    short = [
        f"{figures.get(name, 0):g} {what}, {least} needed"
        for name, what, least in (
            ("test_groups", "assets held out", policy.min_groups),
            ("test_positive_groups", "of them with positives", policy.min_positive_groups),
        )
        if figures.get(name, 0) < least
    ]
    if short:
        return Judgement(outcome="unknown", detail="too little evidence: " + "; ".join(short))
    higher = policy.better == "higher"
    figure, base = figures.get(policy.metric, math.nan), figures.get(f"baseline_{policy.metric}", math.nan)
    end = figures.get(f"{policy.metric}_{'low' if higher else 'high'}", math.nan)
    bar = base + policy.margin if higher else base * (1 - policy.margin)
    if not all(map(math.isfinite, (figure, base, end))):
        return Judgement(outcome="unknown", detail=f"{policy.metric} or its baseline is undefined on the held-out rows")
    passed = end > bar if higher else end < bar
    side, which = ("above", "5 %") if higher else ("below", "95 %")
    detail = f"{policy.metric} {figure:.4g}, {which} end {end:.4g}, must be {side} {bar:.4g} (baseline {base:.4g})"
    return Judgement(outcome="pass" if passed else "fail", detail=detail)
