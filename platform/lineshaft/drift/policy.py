"""When a difference is a drift, as data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from lineshaft.errors import DefinitionError

HOUR_US = 3_600_000_000
DAY_US = 24 * HOUR_US


@dataclass(frozen=True, slots=True, kw_only=True)
class Regimes:
    """How rows are told apart by what the machine was doing: by a column, at its edges. No column: one regime.

    >>> Regimes(column="speed", edges=(5.0,)).names()
    ('speed < 5', '5 <= speed')
    """

    column: str = ""
    edges: tuple[float, ...] = ()

    def names(self) -> tuple[str, ...]:
        """Return the regimes from the lowest."""
        if not self.column:
            return ("all",)
        inner = [f"{a:g} <= {self.column} < {b:g}" for a, b in zip(self.edges, self.edges[1:], strict=False)]
        return (f"{self.column} < {self.edges[0]:g}", *inner, f"{self.edges[-1]:g} <= {self.column}")


METHODS = ("distribution", "stability", "level", "spread", "step", "missing")
"""How rows are compared; see `lineshaft.drift.findings`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Least:
    """A least effect of one column by one method, where it is more than what the policy asks for of all."""

    column: str
    method: str
    effect: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftPolicy:
    """When a difference is a drift: improbable by `fdr`, as large as its least effect, and in `persist` of `among`.

    `min_effect` is a distance of distributions, `min_stability` an index (PSI), `min_shift` a difference of means in
    standard deviations, `min_step` a sudden one, `min_spread` a ratio of what a value differs from the one expected
    after the last. `least` asks more of single columns. A check looks at the newest `window_us`.
    """

    fdr: float = 0.01
    min_effect: float = 0.1
    min_stability: float = 0.1
    min_shift: float = 0.3
    min_step: float = 3.0
    min_spread: float = 1.25
    bins: int = 10
    effective: bool = True  # count independent values, not rows
    min_effective: float = 8.0  # fewer independent values than this: unknown
    window_us: int = DAY_US
    persist: int = 3
    among: int = 5
    regimes: Regimes = field(default_factory=Regimes)
    least: tuple[Least, ...] = ()

    def asking(self, least: Sequence[Least]) -> DriftPolicy:
        """Return the policy that asks for these least effects, too."""
        return replace(self, least=(*self.least, *least))

    def least_of(self, method: str, columns: Sequence[str]) -> tuple[float, ...]:
        """Return the least effect by a method of each column.

        >>> DriftPolicy(least=(Least(column="heat", method="level", effect=2.0),)).least_of("level", ("heat", "rms"))
        (2.0, 0.3)
        """
        plain = {
            "distribution": self.min_effect,
            "stability": self.min_stability,
            "level": self.min_shift,
            "spread": self.min_spread,
            "step": self.min_step,
            "missing": 2 * self.min_effect,
        }[method]
        own = {one.column: one.effect for one in self.least if one.method == method}
        return tuple(max(plain, own.get(name, plain)) for name in columns)

    def __post_init__(self) -> None:
        """Refuse a policy under which nothing, or everything, would be a drift.

        Raises
        ------
        DefinitionError
            If a rate or an effect is no share, a ratio is none, or more windows are asked for than are looked at.
        """
        shares = 0 < self.fdr < 1 and 0 <= self.min_effect <= 1 and self.bins >= 2 and self.min_effective > 0
        sizes = (
            min(self.min_shift, self.min_step, self.min_stability) >= 0 and self.min_spread >= 1 and self.window_us > 0
        )
        if not (shares and sizes and 1 <= self.persist <= self.among):
            fix = "write 0 < fdr < 1, 0 <= min_effect <= 1, bins of 2 or more, min_effective above 0, persist: 3/5"
            raise DefinitionError(f"nothing can be judged by {self}", fix=fix)
        if any(one.method not in METHODS or not one.effect > 0 for one in self.least):
            raise DefinitionError("a least effect is of no method, or none", fix=f"use {', '.join(METHODS)}")
        ordered = list(self.regimes.edges) == sorted(set(self.regimes.edges))
        if bool(self.regimes.column) != bool(self.regimes.edges) or not ordered:
            raise DefinitionError(f"no regime can be told by {self.regimes}", fix="write a column and rising edges")


CAUSES = ("sensor", "degradation", "site", "regime", "new_assets", "asset", "fleet", "concept")
"""What may stand behind a drift; see `lineshaft.drift.diagnosis.Cause`."""
UNLEARNED = ("sensor", "degradation")
"""Causes from which nothing is ever learnt: a model retrained on a broken sensor learns the fault."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrainPolicy:
    """What follows a diagnosis: nothing but a ticket, or a new version that is judged beside the old one.

    A version is trained by itself (`auto`) for one of `causes`, once `need_labels` assets have outcomes and `cool_down`
    has passed since the last; it answers for `share` of the assets until the experiment tells the two apart, at most
    `longest`; the better one stays.
    """

    auto: bool = False
    causes: tuple[str, ...] = ("concept",)
    cool_down_us: int = 7 * DAY_US
    need_labels: int = 20
    share: float = 0.5
    metric: str = "brier"
    effect: float = 0.02
    alpha: float = 0.05
    min_assets: int = 20
    longest_us: int = 60 * DAY_US

    def __post_init__(self) -> None:
        """Refuse to learn from what teaches nothing, and an experiment with an empty arm.

        Raises
        ------
        DefinitionError
            If a cause is not known or teaches nothing, or a share or time is none.
        """
        for cause in self.causes:
            if cause not in CAUSES:
                raise DefinitionError(f"there is no cause {cause!r}", fix=f"use {', '.join(CAUSES)}")
            if cause in UNLEARNED:
                raise DefinitionError(f"nothing is to be learnt from {cause!r}", fix="leave it out of `causes`")
        if not (0 < self.share < 1 and self.cool_down_us >= 0 and self.longest_us > 0 and self.need_labels >= 0):
            raise DefinitionError(f"no retraining can follow {self}", fix="write 0 < share < 1 and times above 0")
