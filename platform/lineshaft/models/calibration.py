"""From a sum of leaves to a probability that keeps its word: two laws, kept as plain numbers in the model's own file.

Trees that were told to mind rare failures, or that fit too well, say 0.7 where half fail. A law is fitted to sums that
the trees gave to assets they never learned from, and whoever scores the model applies it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lineshaft.errors import CorruptError

Floats = NDArray[np.float64]

ATTRIBUTE = "lineshaft.calibration"
PLATT, ISOTONIC = "platt", "isotonic"
KINDS = (PLATT, ISOTONIC)
_STEPS = 100
_MOST_KNOTS = 5000


def logistic(margins: Floats) -> Floats:
    """Return probabilities; what is too far out to tell from 0 or 1 is 0 or 1."""
    return 1.0 / (1.0 + np.exp(np.minimum(-margins, 700.0)))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Calibration:
    """Of `platt`, `at` is a slope and `to` an offset of log-odds; of `isotonic`, probabilities `to` at sums `at`.

    Neither ever turns the order of two sums round. Between two sums an isotonic law is a straight line, beyond the
    outermost it is level.
    """

    kind: str
    at: Floats
    to: Floats

    def apply(self, margins: Floats) -> Floats:
        """Return the probabilities of sums of leaves."""
        if self.kind == PLATT:
            return logistic(self.at[0] * margins + self.to[0])
        return np.interp(margins, self.at, self.to)

    def text(self) -> str:
        """Return it as an attribute of a model's file holds it."""
        return json.dumps({"kind": self.kind, "at": self.at.tolist(), "to": self.to.tolist()})

    @staticmethod
    def of(attributes: Mapping[str, str]) -> Calibration | None:
        """Return the law in a model's attributes; None where there is none.

        Raises
        ------
        CorruptError
            If it cannot be read, or could turn an order round or leave the range of probabilities.
        """
        if ATTRIBUTE not in attributes:
            return None
        try:
            told = json.loads(attributes[ATTRIBUTE])
            at, to = (np.array(told[part], dtype=np.float64) for part in ("at", "to"))
            law = Calibration(kind=told["kind"], at=at, to=to)
        except (ValueError, TypeError, KeyError, RecursionError, OverflowError) as error:
            raise CorruptError("the calibration in a model's file cannot be read", fix="register it again") from error
        if not law._sound():
            raise CorruptError("the calibration in a model's file is no rising law", fix="register it again")
        return law

    def _sound(self) -> bool:
        at, to = self.at, self.to
        if at.ndim != 1 or at.shape != to.shape or not len(at) or not np.isfinite([at, to]).all():
            return False
        if self.kind == PLATT:
            return len(at) == 1 and bool(at[0] >= 0)
        rises = (np.diff(at) > 0).all() and (np.diff(to) >= 0).all()
        return self.kind == ISOTONIC and bool(rises and to[0] >= 0 and to[-1] <= 1)


def fit_calibration(kind: str, margins: Floats, labels: Floats) -> Calibration:
    """Return the law that suits sums of leaves and what came of them, in numbers that float32 holds.

    >>> law = fit_calibration("isotonic", np.array([-1.0, 0.0, 1.0, 2.0]), np.array([0.0, 1.0, 0.0, 1.0]))
    >>> law.at.tolist(), law.to.tolist()
    ([-1.0, 0.5, 2.0], [0.0, 0.5, 1.0])
    """
    at, to = _platt(margins, labels) if kind == PLATT else _isotonic(margins, labels)
    narrow = (part.astype(np.float32).astype(np.float64) for part in (at, to))
    at, to = narrow
    if kind == ISOTONIC:
        at, first = np.unique(at, return_index=True)
        to = to[first]
    return Calibration(kind=kind, at=at, to=to)


def _platt(margins: Floats, labels: Floats) -> tuple[Floats, Floats]:
    """Return the slope and the offset of the likeliest logistic law, by Newton's steps from the identity.

    Its targets are not quite 0 and 1 (Platt 1999), so that sums which part the labels entirely give a slope all the
    same. A law that would fall is none: then everything gets the prevalence.
    """
    positives = labels.sum()
    high, low = (positives + 1) / (positives + 2), 1 / (len(labels) - positives + 2)
    target = np.where(labels > 0, high, low)
    slope, offset = 1.0, 0.0
    loss = _loss(slope * margins + offset, target)
    for _ in range(_STEPS):
        said = logistic(slope * margins + offset)
        off, weight = said - target, said * (1 - said) + 1e-12
        down = np.array([np.sum(off * margins), np.sum(off)])
        bend = np.array([np.sum(weight * margins * margins) + 1e-9, np.sum(weight * margins), np.sum(weight) + 1e-9])
        area = bend[0] * bend[2] - bend[1] ** 2
        move = np.array([bend[2] * down[0] - bend[1] * down[1], bend[0] * down[1] - bend[1] * down[0]]) / area
        share = 1.0
        while share > 1e-10 and _loss((slope - share * move[0]) * margins + offset - share * move[1], target) > loss:
            share /= 2
        slope, offset = slope - share * float(move[0]), offset - share * float(move[1])
        before, loss = loss, _loss(slope * margins + offset, target)
        if before - loss <= 1e-12 * before:
            break
    if slope < 0:
        mean = float(target.mean())
        slope, offset = 0.0, float(np.log(mean / (1 - mean)))
    return np.array([slope]), np.array([offset])


def _loss(log_odds: Floats, target: Floats) -> float:
    """Return minus the log-likelihood of targets."""
    return float(np.sum(np.logaddexp(0.0, log_odds) - target * log_odds))


def _isotonic(margins: Floats, labels: Floats) -> tuple[Floats, Floats]:
    """Return sums and the rising probabilities nearest to what came of them: neighbours that fall are pooled.

    A pool stands at the mean of its sums.
    """
    sums, member, counts = np.unique(margins, return_inverse=True, return_counts=True)
    hits = np.bincount(member, weights=labels)
    pools: list[tuple[float, float, float]] = []  # rows, sum of margins, failures
    for rows, margin, failed in zip(counts.tolist(), sums.tolist(), hits.tolist(), strict=True):
        pool = (float(rows), rows * margin, failed)
        while pools and pools[-1][2] * pool[0] >= pool[2] * pools[-1][0]:
            last = pools.pop()
            pool = (last[0] + pool[0], last[1] + pool[1], last[2] + pool[2])
        pools.append(pool)
    table = np.array(pools)
    kept = np.unique(np.linspace(0, len(table) - 1, min(len(table), _MOST_KNOTS)).astype(np.intp))
    return (table[:, 1] / table[:, 0])[kept], (table[:, 2] / table[:, 0])[kept]
