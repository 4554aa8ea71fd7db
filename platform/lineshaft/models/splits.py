"""Who is judged by whom: assets that a model never saw, in part or each in its turn."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lineshaft.models.matrix import folds, held_out
from lineshaft.models.spec import ModelSpec


def judged_together(spec: ModelSpec, groups: NDArray[np.str_]) -> list[NDArray[np.bool_]]:
    """Return which rows are judged together, by a model fitted on all others: a part held out, or each fold in turn."""
    if not spec.folds:
        return [held_out(groups, share=spec.test_share, seed=spec.seed)]
    fold = folds(groups, count=spec.folds, seed=spec.seed)
    return [fold == number for number in range(spec.folds)]
