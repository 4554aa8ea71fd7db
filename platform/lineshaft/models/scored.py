"""What any model gives: scores, and why they are what they are."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """Scores (n) and, where asked for, why: base + sum of contributions (n x features) = margin.

    The score is a rising function of the margin: of a probability the logistic, of most quantities none, of a distance
    the square root, of a forest of random cuts the power of 2. So contributions of a probability are in log-odds, and
    where it is calibrated, in those from before the calibration.
    """

    scores: Floats
    contributions: Floats | None = None
    base: float = math.nan

    @property
    def reasons(self) -> Floats:
        """Return the contributions, which were asked for."""
        if self.contributions is None:
            raise ValueError("it was not asked why")
        return self.contributions


class Model(Protocol):
    """A model in memory."""

    def score(self, values: NDArray[np.float32], *, why: bool = True) -> Scored:
        """Score rows (n x features, NaN where unknown), and say why where asked."""
        ...
