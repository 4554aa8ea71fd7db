"""Golden rows: inputs and the scores they had when a model was trained, kept in the model's own file.

Whoever loads the model scores them again: a file, or code, that scores otherwise answers nobody.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lineshaft.errors import CorruptError

ATTRIBUTE = "lineshaft.golden"
_PARTS = ("rows", "scores")
_COUNT = 24
_TOLERANCE = 2e-6
"""Of the score, and at least of 1: XGBoost computes the logistic function and the start of a sum in float32."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Golden:
    """Rows (n x features, NaN where unknown) and their scores by the library that trained the model."""

    rows: NDArray[np.float32]
    scores: NDArray[np.float32]

    @staticmethod
    def of(attributes: Mapping[str, str], *, width: int) -> Golden | None:
        """Return the golden rows in a model's attributes; None where there are none."""
        if ATTRIBUTE not in attributes:
            return None
        try:
            told = json.loads(attributes[ATTRIBUTE])
            rows, scores = (np.frombuffer(base64.b64decode(told[part], validate=True), "<f4") for part in _PARTS)
            return Golden(rows=rows.reshape(len(scores), width), scores=scores)
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise CorruptError("the golden rows in a model's file cannot be read", fix="register it again") from error

    def text(self) -> str:
        """Return them as an attribute holds them."""
        held = {part: getattr(self, part).astype("<f4").tobytes() for part in _PARTS}
        return json.dumps({part: base64.b64encode(raw).decode() for part, raw in held.items()})

    def check(self, predict: Callable[[NDArray[np.float32]], NDArray[np.float64]]) -> None:
        """Score them again.

        Raises
        ------
        CorruptError
            If a score is another one now, or is none.
        """
        now = predict(self.rows)
        off = np.abs(now - self.scores) / np.maximum(np.abs(self.scores), 1.0)
        if not (off <= _TOLERANCE).all():  # NaN is not
            worst = int(np.nanargmax(np.where(np.isfinite(off), off, np.inf)))
            what = (
                f"golden row {worst} is scored {now[worst]:.7g}; when the model was trained, {self.scores[worst]:.7g}"
            )
            raise CorruptError(what, fix="train it again, or promote another version")


def golden_rows(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return rows to remember a model by: some of those it learned from, some with holes, and one of holes only.

    >>> golden_rows(np.arange(6, dtype=np.float32).reshape(3, 2)).shape
    (7, 2)
    """
    some = values[np.unique(np.linspace(0, len(values) - 1, _COUNT).astype(np.intp))]
    holed = some.copy()
    holed[:, ::2] = np.nan
    return np.concatenate([some, holed, np.full((1, values.shape[1]), np.nan, dtype=np.float32)])
