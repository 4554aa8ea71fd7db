"""Detectors of what is not normal: fitted on healthy rows alone, stored as plain numbers, every score taken apart.

A distance says how many spreads of the healthy rows a row lies from their middle, over all features or, where they go
together, against how they do. A forest (Liu, Ting and Zhou 2008) says how few cuts at random set a row apart.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from lineshaft.errors import CorruptError, InputError
from lineshaft.models.isolation import Forest, grow
from lineshaft.models.scored import Floats, Scored

KINDS = ("distance", "mahalanobis", "forest")
MARK = b'{"detector":'
_FIX = "register the model again"


@dataclass(frozen=True, slots=True, kw_only=True)
class Distance:
    """The middle of healthy rows and the inverse of their covariance; diagonal where features are taken one by one."""

    kind: ClassVar[str] = "distance"
    features: tuple[str, ...]
    centre: Floats
    covariance: Floats  # features x features

    def score(self, values: NDArray[np.float32], *, why: bool = True) -> Scored:
        """Return root mean square distances in spreads; what is missing is left out, and the rest is weighed anew."""
        away = values.astype(np.float64) - self.centre
        parts = np.zeros(away.shape)
        for pattern in np.unique(np.isfinite(away), axis=0) if len(away) else ():
            rows = np.flatnonzero((np.isfinite(away) == pattern).all(axis=1))
            present = np.flatnonzero(pattern)
            if len(present):
                precision = np.linalg.inv(self.covariance[np.ix_(present, present)])
                own = away[np.ix_(rows, present)]
                # Sums of products, not a matrix product: one row alone gives the bits that it gives among others.
                turned = np.add.reduce(own[:, None, :] * precision[None, :, :], axis=2)
                parts[np.ix_(rows, present)] = own * turned / len(present)
        margin = np.maximum(np.add.reduce(parts, axis=1), 0.0)
        scores = np.where(np.isfinite(away).any(axis=1), np.sqrt(margin), np.nan)
        return Scored(scores=scores, contributions=parts if why else None, base=0.0)

    def predict(self, values: NDArray[np.float32]) -> Floats:
        """Return the scores alone."""
        return self.score(values, why=False).scores

    def numbers(self) -> dict[str, Any]:
        """Return what has to be stored."""
        return {"centre": self.centre.tolist(), "covariance": self.covariance.tolist()}


def fit_distance(values: NDArray[np.float32], features: Sequence[str], *, correlated: bool) -> Distance:
    """Fit a distance to healthy rows: medians, and spreads by the median deviation, which a few odd rows do not move.

    Correlations are of rows cut off at five spreads and drawn a tenth of the way to none.

    Raises
    ------
    InputError
        If a feature never moves, or is never there, in healthy rows: no distance could be told in it.
    """
    centre = np.nanmedian(values, axis=0).astype(np.float64) if len(values) else np.full(len(features), np.nan)
    away = values.astype(np.float64) - centre
    spread = 1.4826 * np.nanmedian(np.abs(away), axis=0)
    spread = np.where(spread > 0, spread, np.nanstd(away, axis=0))
    for name, width in zip(features, spread.tolist(), strict=True):
        if not width > 0:
            raise InputError(
                f"feature {name!r} never moves in healthy rows", fix="leave it out, or give more healthy history"
            )
    correlation = np.eye(len(features))
    if correlated and len(features) > 1:
        known = np.nan_to_num(np.clip(away / spread, -5, 5))
        correlation = 0.9 * np.corrcoef(known, rowvar=False) + 0.1 * correlation
    covariance = correlation * spread[:, None] * spread[None, :]
    return Distance(features=tuple(features), centre=centre, covariance=covariance)


@dataclass(frozen=True, slots=True, kw_only=True)
class Isolation:
    """A forest of random cuts: 0.5 is an ordinary row, near 1 one that few cuts set apart."""

    kind: ClassVar[str] = "forest"
    features: tuple[str, ...]
    forest: Forest

    def score(self, values: NDArray[np.float32], *, why: bool = True) -> Scored:
        """Return 2^-(cuts needed/cuts that an ordinary row needs); NaN where nothing is known of a row."""
        root, moved = self.forest.depths(values.astype(np.float64))
        scores = np.exp2(-root - np.add.reduce(moved, axis=1))
        scores = np.where(np.isfinite(values).any(axis=1), scores, np.nan)
        return Scored(scores=scores, contributions=-moved if why else None, base=-root)

    def predict(self, values: NDArray[np.float32]) -> Floats:
        """Return the scores alone."""
        return self.score(values, why=False).scores

    def numbers(self) -> dict[str, Any]:
        """Return what has to be stored."""
        return self.forest.numbers()


Detector = Distance | Isolation


def fit(kind: str, values: NDArray[np.float32], features: Sequence[str], *, seed: int, trees: int) -> Detector:
    """Fit a detector of one of `KINDS` to healthy rows."""
    if kind == "forest":
        return Isolation(features=tuple(features), forest=grow(values.astype(np.float64), seed=seed, trees=trees))
    return fit_distance(values, features, correlated=kind == "mahalanobis")


def to_bytes(detector: Detector) -> bytes:
    """Return a detector as JSON: numbers only, the same bytes for the same numbers."""
    told = {"detector": detector.kind, "features": list(detector.features), **detector.numbers()}
    return json.dumps(told, separators=(",", ":"), allow_nan=False).encode()


def is_detector(artifact: bytes) -> bool:
    """Tell whether an artifact is a detector, and not trees of another library."""
    return artifact.startswith(MARK)


def from_bytes(artifact: bytes) -> Detector:
    """Read a detector; nothing in it is run.

    Raises
    ------
    CorruptError
        If it is none, or its numbers do not fit together.
    """
    try:
        return _read(json.loads(artifact))
    except (ValueError, KeyError, TypeError, RecursionError, np.linalg.LinAlgError) as error:
        raise CorruptError("these bytes are no detector", fix=_FIX) from error


def _read(told: dict[str, Any]) -> Detector:
    """Return the detector of a document; `ValueError` where its numbers do not fit together."""
    features = tuple(told["features"])
    if not isinstance(told["features"], list) or not all(isinstance(name, str) for name in features):
        raise ValueError("features")
    if told["detector"] == "forest":
        return Isolation(features=features, forest=Forest.read(told, features=len(features)))
    centre, covariance = (np.array(told[name], dtype=np.float64) for name in ("centre", "covariance"))
    size = len(features)
    if told["detector"] != "distance" or centre.shape != (size,) or covariance.shape != (size, size):
        raise ValueError(told["detector"])
    np.linalg.cholesky(covariance)
    if not (np.isfinite(centre).all() and np.isfinite(covariance).all()):
        raise ValueError("not finite")
    return Distance(features=features, centre=centre, covariance=covariance)
