"""A version beside another on the same rows: which neither has learned from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from lineshaft.errors import LineshaftError
from lineshaft.models.loading import load_model
from lineshaft.models.matrix import feature_matrix
from lineshaft.models.scores import METRICS, Floats, gain
from lineshaft.models.spec import ModelSpec
from lineshaft.models.trained import TrainedModel
from lineshaft.specs import Evidence


@dataclass(frozen=True, slots=True, kw_only=True)
class Rival:
    """A version to be set beside: its bytes, its inputs in order, and the assets it never learned from."""

    ref: str
    artifact: bytes
    features: tuple[str, ...]
    unseen: tuple[str, ...]


def beside(spec: ModelSpec, table: pa.Table, trained: TrainedModel, rival: Rival) -> Evidence:
    """Return what a trained model gains over a rival on held-out rows that the rival did not learn from either.

    A rival that knows the answers by heart would look better than it is, so where it saw every asset there is nothing
    to compare, and `why_not` says so; likewise where its inputs are not in the training set.
    """
    mine = trained.unseen
    chosen = np.isin(mine.groups, list(rival.unseen))
    figures, why_not = {}, ""
    if spec.task not in METRICS:
        why_not = f"there is no figure by which two models of the task {spec.task!r} could be compared"
    elif not chosen.any():
        why_not = f"{rival.ref} learned from every asset held out here: hold the same out again (`split: held_out`)"
    else:
        try:
            name, figure = gain(
                spec.task,
                labels=mine.labels[chosen],
                scores=mine.scores[chosen],
                rival=_scores(rival, table.take(pa.array(mine.places[chosen]))),
                groups=mine.groups[chosen],
                seed=spec.seed,
            )
            figures[name] = figure
        except LineshaftError as error:
            why_not = f"{rival.ref} cannot be asked about these rows: {error.what}"
    positive = mine.labels[chosen] > 0
    binary = spec.task == "binary"
    return Evidence(
        rows=trained.training_set,
        n=int(chosen.sum()),
        groups=len(np.unique(mine.groups[chosen])),
        n_pos=int(positive.sum()) if binary else None,
        pos_groups=len(np.unique(mine.groups[chosen][positive])) if binary else None,
        figures=figures,
        against=rival.ref,
        why_not=why_not,
    )


def _scores(rival: Rival, rows: pa.Table) -> Floats:
    """Return what the rival says of rows."""
    return load_model(rival.artifact, features=rival.features).predict(feature_matrix(rows, rival.features))
