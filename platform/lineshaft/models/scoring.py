"""Score: a model read from its bytes without the library that made it, and why each score is what it is.

This is the one way to a score, for the figures of a training, the gate, `Predict`, batches and exports alike.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from lineshaft.boosters.forest import Forest, read_forest
from lineshaft.errors import CorruptError, InputError
from lineshaft.models.attribution import Paths, paths
from lineshaft.models.calibration import Calibration, logistic
from lineshaft.models.golden import Golden
from lineshaft.models.scored import Floats, Scored
from lineshaft.models.trees import Trees, grown


def _same(margins: Floats) -> Floats:
    return margins


LINKS: Mapping[str, Callable[[Floats], Floats]] = {
    "binary:logistic": logistic,
    "reg:logistic": logistic,
    "binary:logitraw": _same,
    "reg:squarederror": _same,
    "reg:absoluteerror": _same,
    "reg:pseudohubererror": _same,
    "reg:gamma": np.exp,
    "reg:tweedie": np.exp,
    "count:poisson": np.exp,
    "survival:aft": np.exp,
    "survival:cox": np.exp,
}
"""From a sum of leaves to a score, by XGBoost's objective."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Scorer:
    """A loaded model."""

    trees: Trees
    objective: str
    features: tuple[str, ...]
    golden: Golden | None = None
    calibration: Calibration | None = None

    @staticmethod
    def load(artifact: bytes, *, features: Sequence[str]) -> Scorer:
        """Read a model from UBJSON or JSON, and prove it on the rows that were stored with it.

        Raises
        ------
        CorruptError
            If the bytes are no model, one of a kind that is not scored here, one with other features than the registry
            says, or one that scores its golden rows otherwise than when it was trained.
        """
        try:
            forest = read_forest(artifact)
        except InputError as error:
            raise CorruptError(f"these bytes are no XGBoost model: {error.what}", fix="register it again") from error
        if forest.features != tuple(features):
            raise CorruptError(
                "the model's features are not those registered with it",
                where=f"{len(forest.features)} in the model, {len(features)} registered",
                fix="register the model again",
            )
        _refuse_other_kinds(forest)
        trees = grown(forest, base=_base(forest))
        golden = Golden.of(forest.attributes, width=trees.width)
        scorer = Scorer(
            trees=trees,
            objective=forest.objective,
            features=forest.features,
            golden=golden,
            calibration=_calibration(forest),
        )
        if golden is not None:
            golden.check(scorer.predict)
        return scorer

    def predict(self, values: NDArray[np.float32]) -> Floats:
        """Return the scores of rows (n x features, NaN where unknown), calibrated where the model is, without why.

        They are rounded to float32, in which the trees add up: what is beyond would differ from machine to machine.
        """
        with np.errstate(over="ignore"):
            link = LINKS[self.objective] if self.calibration is None else self.calibration.apply
            linked = link(self.trees.margins(values).astype(np.float64))
            return linked.astype(np.float32).astype(np.float64)

    def score(self, values: NDArray[np.float32], *, why: bool = True) -> Scored:
        """Score rows (n x features, NaN where unknown); contributions and scores are of the same trees."""
        if not why:
            return Scored(scores=self.predict(values))
        contributions = self.paths.contributions(values)
        return Scored(scores=self.predict(values), contributions=contributions, base=self.paths.base)

    @cached_property
    def paths(self) -> Paths:
        """Return the paths to the leaves: made when a score is first asked why."""
        return paths(self.trees)


def _base(forest: Forest) -> np.float32:
    """Return what every sum begins with; a model file holds the score of no tree, in float32."""
    score, link = np.float32(forest.base_score), LINKS[forest.objective]
    if link is _same:
        return score
    if not 0 < score < (1 if link is logistic else np.inf):
        raise CorruptError(f"a model of {forest.objective} cannot begin at {score}", fix="register the model again")
    if link is np.exp:
        return np.float32(math.log(score))
    return -np.float32(math.log(np.float32(1) / score - np.float32(1)))


def _calibration(forest: Forest) -> Calibration | None:
    """Return the law that stands in the place of the logistic function."""
    law = Calibration.of(forest.attributes)
    if law is not None and LINKS[forest.objective] is not logistic:
        what = f"a model of {forest.objective} gives no probability to calibrate"
        raise CorruptError(what, fix="register the model again")
    return law


def _refuse_other_kinds(forest: Forest) -> None:
    """Raise `CorruptError` for a model whose score is not the sum over the leaves of all its trees, in a known unit."""
    if forest.objective not in LINKS:
        what, fix = f"the objective {forest.objective!r} is not served", f"use one of {', '.join(LINKS)}"
        raise CorruptError(what, where="the model's file", fix=fix)
    best = forest.attributes.get("best_iteration", "")
    if best.isdecimal() and forest.rounds > int(best) + 1:
        what = f"the model went on after its best iteration, {best}, to {forest.rounds - 1}: which of the two is meant?"
        raise CorruptError(what, where="the model's file", fix="cut it: booster[: booster.best_iteration + 1]")
