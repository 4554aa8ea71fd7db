"""May this version be used? Gates as pure decisions from evidence and a policy (docs/adr/0011)."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from lineshaft.errors import DefinitionError
from lineshaft.models.scores import FIGURES, SHARES
from lineshaft.specs import Evidence, Figure
from lineshaft.specs.evidence import known, overall

OPS: Mapping[str, Callable[[float, float], bool]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}
WORDS = {">": "above", ">=": "at least", "<": "below", "<=": "at most"}
ENDS = {"low": "5 % end", "high": "95 % end", "value": "figure"}
CONFIDENCE = 0.05
"""How often an end of an interval may be passed by the truth: the ends are the 5 % and the 95 % quantile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """One thing a version must show: a figure beyond a bar, by an end of its interval, on enough evidence.

    The bar is `value`, or `vs` something by a margin: above it by `margin`, or below it by that share of it (a share of
    false alarms: by `margin` itself). A negative margin, against the champion only, is what it may be worse by.
    """

    name: str
    metric: str
    op: str
    value: float | None = None
    vs: str = ""  # "baseline": a model that knows no features; "champion": who holds the slot, on the same rows
    margin: float = 0.0
    use: str = ""  # "low", "high" or "value"; the near end unless said
    min_groups: int = 0  # assets
    min_positive_groups: int = 0  # assets with positives
    min_positives: int = 0  # rows
    tasks: tuple[str, ...] = ()  # asked only of models of these; of all unless said

    def __post_init__(self) -> None:
        """Refuse a gate that would pass the wrong versions.

        Raises
        ------
        DefinitionError
            If there is no such metric or comparison, or the gate asks for less than it says.
        """
        if self.metric not in FIGURES:
            self._fault(f"no figure is called {self.metric!r}", f"use one of {', '.join(FIGURES)}")
        if self.op not in OPS or self.vs not in {"", "baseline", "champion"}:
            self._fault(f"{self.op!r} {self.vs or self.value!r} is no comparison", 'write op: ">", ">=", "<" or "<="')
        if (self.value is None) == (not self.vs):
            self._fault("a gate has one bar", "write `value: 0.9`, or `vs: baseline`, or `vs: champion`")
        if self.value is not None and not math.isfinite(self.value):
            self._fault(f"value {self.value!r} asks for nothing, or for what no model has", "write a number")
        if self.vs and self.higher != FIGURES[self.metric]:
            better = "above" if FIGURES[self.metric] else "below"
            self._fault(f"{self.metric} is better {better} its {self.vs}", "turn `op` round")
        if not math.isfinite(self.margin) or (self.margin < 0 and self.vs != "champion"):
            self._fault(f"margin {self.margin!r} asks for nothing", "write a margin of 0 or more")
        if self.use not in {"", "value", self.near}:
            self._fault(f"{self.use!r} end: an interval that is wide enough would pass", f"use {self.near} or value")

    @property
    def higher(self) -> bool:
        """Return whether more is better."""
        return self.op.startswith(">")

    @property
    def near(self) -> str:
        """Return the end of an interval that is nearer to the bar."""
        return "low" if self.higher else "high"

    def _fault(self, what: str, fix: str) -> None:
        raise DefinitionError(f"gate {self.name!r} cannot judge: {what}", fix=fix)


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What a version must show before it may serve, who must agree, and whether it then serves by itself."""

    name: str
    gates: tuple[Gate, ...]
    approvals: int = 0  # other people than who registered the version and who promotes it
    approvers: tuple[str, ...] = ()  # who may approve; anybody else unless said
    services_approve: bool = False  # people alone unless said
    approvals_last_us: int = 0
    auto: bool = False
    sha256: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What one gate says: pass, fail, unknown (too little evidence) or error; and the figures it rests on."""

    gate: str
    outcome: str
    detail: str
    figures: Mapping[str, str | float | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What all gates of a policy say of a version; it passes only if each does."""

    gates: tuple[Judgement, ...]

    @property
    def outcome(self) -> str:
        """Return the worst of the outcomes."""
        return overall(one.outcome for one in self.gates)

    @property
    def detail(self) -> str:
        """Return what the gates say that stand in the way; what all say where none does."""
        against = [f"{one.gate} {one.outcome}: {one.detail}" for one in self.gates if one.outcome != "pass"]
        return "; ".join(against or [f"{one.gate}: {one.detail}" for one in self.gates])


def judge_all(policy: Policy, evidence: Sequence[Evidence], *, task: str, ref: str = "", champion: str = "") -> Judged:
    """Ask every gate of a policy that is meant for the task; a policy that asks nothing is an error, not a pass.

    ref, champion: the version that is judged, and the one that holds the slot, as `model@number`.
    """
    asked = [gate for gate in policy.gates if not gate.tasks or task in gate.tasks]
    if not asked:
        detail = f"policy {policy.name!r} has no gate for a {task} model"
        return Judged(gates=(Judgement(gate=policy.name, outcome="error", detail=detail),))
    rival = "" if champion == ref else champion
    return Judged(gates=tuple(judge(gate, evidence, champion=rival) for gate in asked))


def judge(gate: Gate, evidence: Sequence[Evidence], *, champion: str = "") -> Judgement:
    """Hold the newest evidence of a gate's figure against its bar.

    >>> gate = Gate(name="g", metric="rmse", op="<", vs="baseline", margin=0.1, min_groups=5)
    >>> shown = {"rmse": Figure(value=9.0, low=8.0, high=10.0, baseline=40.0)}
    >>> judge(gate, [Evidence(rows="e", n=300, groups=30, figures=shown)]).detail
    'rmse 9, 95 % end 10, must be below 36 (baseline 40)'
    >>> judge(gate, [Evidence(rows="e", n=30, groups=3, figures=shown)]).outcome
    'unknown'
    """
    if gate.vs == "champion" and not champion:
        return Judgement(gate=gate.name, outcome="pass", detail="there is no champion to be worse than")
    against = champion if gate.vs == "champion" else ""
    newest = [one for one in reversed(evidence) if one.against == against]
    found = next((one for one in newest if gate.metric in one.figures), None)
    if found is None:
        nothing = f"nothing is known of {gate.metric}" + (f" beside {against}: train again" if against else "")
        why = next((one.why_not for one in newest if one.why_not), nothing)
        return Judgement(gate=gate.name, outcome="unknown", detail=why)
    shown = found.figures[gate.metric]
    rests_on: dict[str, str | float | None] = {
        "metric": gate.metric,
        **{name: getattr(shown, name) for name in ("value", "low", "high", "baseline")},
        **{name: getattr(found, name) for name in ("n", "groups", "n_pos", "pos_groups", "rows", "against")},
    }
    short = _short(gate, found)
    if short:
        outcome, detail = "unknown", f"too little evidence: {short}"
    else:
        outcome, detail = _compared(gate, found, shown)
    return Judgement(gate=gate.name, outcome=outcome, detail=detail, figures=rests_on)


def _short(gate: Gate, found: Evidence) -> str:
    """Return which counts are short, and of what is needed."""
    needed = (
        (found.groups, "assets held out", gate.min_groups),
        (found.pos_groups or 0, "of them with positives", gate.min_positive_groups),
        (found.n_pos or 0, "rows with positives", gate.min_positives),
    )
    return "; ".join(f"{count:g} {what}, {least} needed" for count, what, least in needed if count < least)


def _compared(gate: Gate, found: Evidence, shown: Figure) -> tuple[str, str]:
    """Return pass where the near end is beyond the bar, fail where not even the far end is, unknown between."""
    bar, op = _bar(gate, shown), gate.op.replace("<", ">") if gate.vs == "champion" else gate.op
    near, far = ("low", "high") if op.startswith(">") else ("high", "low")
    if gate.use == "value":
        near = far = "value"
    most = _most(found) if gate.value is not None and gate.higher and gate.metric in SHARES else math.inf
    ends = {end: getattr(shown, end) for end in ("low", "high", "value")}
    if ends["low"] is not None:
        ends["low"] = min(ends["low"], most)
    if bar is None or ends["value"] is None or ends[near] is None:
        return "unknown", f"{gate.metric} or its {gate.vs or 'interval'} is undefined on the held-out rows"
    beyond = OPS[op]
    if beyond(ends[near], bar):
        outcome = "pass"
    else:
        outcome = "unknown" if beyond(ends[far] if ends[far] is not None else ends["value"], bar) else "fail"
    beside = f" (baseline {shown.baseline:.4g})" if gate.vs == "baseline" else ""
    gain = f" better than {found.against}" if found.against else ""
    few = f"; {_positives(found):g} assets can show no more than {most:.4g}" if ends["low"] == most else ""
    undecided = f"; the interval reaches to {ends[far]:.4g}: neither shown nor refuted" if outcome == "unknown" else ""
    detail = f"{gate.metric} {ends['value']:.4g}{gain}, {ENDS[near]} {ends[near]:.4g}, must be {WORDS[op]} {bar:.4g}"
    return outcome, detail + beside + few + undecided


def _bar(gate: Gate, shown: Figure) -> float | None:
    """Return what a figure must be beyond: the value, the baseline and its margin; of a gain, the margin."""
    if gate.value is not None:
        return gate.value
    if gate.vs == "champion":
        return gate.margin
    if shown.baseline is None:
        return None
    return known(shown.baseline + gate.margin if gate.higher else shown.baseline * (1 - gate.margin))


def _positives(found: Evidence) -> int:
    """Return how many assets a share was counted on."""
    return found.groups if found.pos_groups is None else found.pos_groups


def _most(found: Evidence) -> float:
    """Return the highest low end that so few assets can show, had not one of them been missed.

    Resampling knows only what was seen, so five failures found without fault give an interval from 1 to 1. A share
    that held for all of n may still be CONFIDENCE^(1/n): 0.55 for five, 0.92 for 36.
    """
    return float(CONFIDENCE ** (1 / max(_positives(found), 1)))
