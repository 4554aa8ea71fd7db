"""Score: a booster read from its bytes, with exact contributions of every feature."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import xgboost
from numpy.typing import NDArray

from lineshaft.boosters.forest import read_booster
from lineshaft.errors import CorruptError, InputError


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """Scores (n) and why: margin = base + sum of contributions (n x features), score = link(margin).

    The link is the logistic function for a probability and nothing for a quantity, so contributions of a probability
    are in log-odds.
    """

    scores: NDArray[np.float64]
    contributions: NDArray[np.float64]
    base: NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scorer:
    """A loaded model."""

    booster: xgboost.Booster
    features: tuple[str, ...]

    @staticmethod
    def load(artifact: bytes, *, features: Sequence[str]) -> Scorer:
        """Read a booster from UBJSON or JSON.

        Raises
        ------
        CorruptError
            If the bytes are no booster, or one with other features than the registry says.
        """
        booster = xgboost.Booster(params={"nthread": 1})
        try:
            booster.load_model(bytearray(read_booster(artifact).content))  # it is never given a byte we did not read
        except (InputError, xgboost.core.XGBoostError, ValueError) as error:
            why = f": {error.what}" if isinstance(error, InputError) else ""
            raise CorruptError(f"these bytes are no XGBoost model{why}", fix="register the model again") from error
        names = tuple(booster.feature_names or ())
        if names != tuple(features):
            raise CorruptError(
                "the model's features are not those registered with it",
                where=f"{len(names)} in the model, {len(features)} registered",
                fix="register the model again",
            )
        booster.set_param({"nthread": 1})
        return Scorer(booster=booster, features=names)

    def predict(self, values: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the scores of rows (n x features, NaN where unknown), without saying why."""
        return self._scores(self._rows(values))

    def score(self, values: NDArray[np.float32]) -> Scored:
        """Score rows (n x features, NaN where unknown); contributions and scores are of the same trees."""
        rows = self._rows(values)
        parts = np.asarray(self.booster.predict(rows, pred_contribs=True), dtype=np.float64)
        return Scored(scores=self._scores(rows), contributions=parts[:, :-1], base=parts[:, -1])

    def _rows(self, values: NDArray[np.float32]) -> xgboost.DMatrix:
        """Return rows as XGBoost holds them."""
        return xgboost.DMatrix(values, feature_names=list(self.features), nthread=1)

    def _scores(self, rows: xgboost.DMatrix) -> NDArray[np.float64]:
        return np.asarray(self.booster.predict(rows), dtype=np.float64)
