"""Remaining lives of which some are known only to have been longer: the machine was repaired in time, or still runs.

A label above 0 is a life that ended; one below 0 says that it was longer than that, as XGBoost's own survival
objectives write it. A model that takes a repair for an end learns that machines die young.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lineshaft.errors import InputError
from lineshaft.models.events import FAR, known_events
from lineshaft.models.labels import Labelled

Floats = NDArray[np.float64]
_MOST_PAIRED = 1500


def life_left(rows: pa.Table, log: pa.Table, *, unit_us: int, followed_until_us: int) -> Labelled:
    """Label rows with the life left in units of `unit_us`: positive to a failure, negative to where sight was lost.

    rows: `asset_id`, `event_time`; log: as `known_events` reads it. Any event that changes the asset's fate and is no
    failure ends what is known of a life (a preventive replacement, not an inspection), and so does the end of the
    record. Rows at that end are dropped.
    """
    times = _us(rows["event_time"])
    failure_us, other_us = known_events(log, at_us=FAR).next_turn(rows["asset_id"], times)
    failed = (failure_us <= other_us) & (failure_us < FAR)
    end_us = np.where(failed, failure_us, np.minimum(other_us, followed_until_us))
    left = (end_us - times) / unit_us
    kept = left > 0
    label = np.where(failed, left, -left)[kept]
    dropped = {"nothing_followed": int((~kept).sum())} if not kept.all() else {}
    return Labelled(table=rows.filter(pa.array(kept)).append_column("label", pa.array(label)), dropped=dropped)


def bounds(labels: Floats) -> tuple[Floats, Floats]:
    """Return the least and the most that each life may have been.

    >>> [part.tolist() for part in bounds(np.array([3.0, -5.0]))]
    [[3.0, 5.0], [3.0, inf]]
    """
    return np.abs(labels), np.where(labels > 0, labels, np.inf)


def concordance(labels: Floats, scores: Floats) -> float:
    """Return of how many pairs whose order is known the scores have it (Harrell's c); a tie is half a pair.

    Of many rows every so-manieth is compared. NaN where the order of no pair is known.

    >>> concordance(np.array([1.0, 2.0, -3.0]), np.array([10.0, 20.0, 5.0]))
    0.3333333333333333
    """
    step = -(-len(labels) // _MOST_PAIRED) or 1
    labels, scores = labels[::step], scores[::step]
    life = np.abs(labels)
    known = (labels > 0)[:, None] & (life[:, None] < life[None, :])
    right = np.where(scores[:, None] < scores[None, :], 1.0, np.where(scores[:, None] == scores[None, :], 0.5, 0.0))
    return float(right[known].mean()) if known.any() else float("nan")


@dataclass(frozen=True, slots=True, kw_only=True)
class Weibull:
    """Lives by a law that knows nothing but age: the share still alive at age t is exp(-(t/scale)^shape)."""

    shape: float
    scale: float

    def median_left(self, age: Floats) -> Floats:
        """Return how long half of those that reached an age go on."""
        reached = (np.maximum(age, 0.0) / self.scale) ** self.shape
        left: Floats = self.scale * (reached + np.log(2)) ** (1 / self.shape) - age
        return left


def fit_weibull(age: Floats, labels: Floats) -> Weibull:
    """Fit by maximum likelihood, given that each reached its age; lives cut short count as what they are.

    Raises
    ------
    InputError
        If no life ended, or ages are not known.
    """
    usable = np.isfinite(age) & (age >= 0)
    age, labels = age[usable], labels[usable]
    if not (labels > 0).any():
        raise InputError("no life is known to its end", fix="a Weibull law needs failures: follow for longer")
    life, ended = age + np.abs(labels), labels > 0
    unit, count = float(life.max()), int(ended.sum())
    life, age = life / unit, age / unit
    logs = float(np.log(life[ended]).sum())

    def spent(shape: float) -> float:
        return float((life**shape - age**shape).sum())

    def likelihood(shape: float) -> float:  # of the best scale for this shape
        return float(count * (np.log(shape) - np.log(spent(shape) / count)) + (shape - 1) * logs)

    low, high = np.log(0.05), np.log(50.0)
    for _ in range(80):  # it has one peak: thirds without it are left
        left, right = low + (high - low) / 3, high - (high - low) / 3
        if likelihood(float(np.exp(left))) < likelihood(float(np.exp(right))):
            low = left
        else:
            high = right
    shape = float(np.exp((low + high) / 2))
    return Weibull(shape=shape, scale=unit * (spent(shape) / count) ** (1 / shape))


def _us(column: pa.ChunkedArray) -> NDArray[np.int64]:
    return np.asarray(column.cast(pa.timestamp("us", tz="UTC")).cast(pa.int64()).to_numpy(), dtype=np.int64)
