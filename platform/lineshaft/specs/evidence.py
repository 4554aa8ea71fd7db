"""What is known of a model's figures, and on how much it rests: what gates judge by and the registry keeps."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A figure with the 90 % interval of it, and what it is measured by; None is unknown."""

    value: float | None
    low: float | None = None
    high: float | None = None
    baseline: float | None = None  # the same figure of who it is measured by, on the same rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Figures of a version on rows of assets that it never learned from, and how many those were.

    `against` nothing, figures are the version's own and baselines those of a model that knows no features. `against` a
    version (`model@3`), figures are what this one gains over it on the rows neither had learned from, positive where
    it is better; `why_not` says why there are none.
    """

    rows: str  # fingerprint of the training set that the rows belong to
    n: int
    groups: int  # assets
    n_pos: int | None = None
    pos_groups: int | None = None  # assets with positives
    figures: Mapping[str, Figure] = field(default_factory=dict)
    against: str = ""
    why_not: str = ""
    unseen: tuple[str, ...] = ()  # assets that the version never learned from; none where folds let it learn from all

    def to_json(self) -> str:
        """Return canonical JSON.

        >>> one = Evidence(rows="e", n=9, groups=3, figures={"rmse": Figure(value=2.0)}, unseen=("a",))
        >>> Evidence.from_json(one.to_json()) == one
        True
        """
        return json.dumps(asdict(self), sort_keys=True)

    @staticmethod
    def from_json(text: str) -> Evidence:
        """Read what `to_json` wrote."""
        content = json.loads(text)
        figures = {name: Figure(**figure) for name, figure in content["figures"].items()}
        return Evidence(**{**content, "figures": figures, "unseen": tuple(content["unseen"])})


def known(value: float | None) -> float | None:
    """Return a figure, or None where it is not finite.

    >>> known(0.5), known(float("nan")), known(None)
    (0.5, None, None)
    """
    return float(value) if value is not None and math.isfinite(value) else None


def overall(outcomes: Iterable[str]) -> str:
    """Return what verdicts come to: a pass where there are some and all pass, else the worst of them.

    >>> overall(["pass", "unknown"]), overall(["unknown", "fail", "error"]), overall(["pass"]), overall([])
    ('unknown', 'fail', 'pass', 'error')
    """
    found = set(outcomes)
    return next((one for one in ("fail", "error", "unknown", "pass") if one in found), "error")
