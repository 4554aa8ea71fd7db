"""A version beside another on the same rows: each row scored, on both sides, by a model that never learned from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lineshaft.errors import LineshaftError
from lineshaft.models.alarms import AlarmRule
from lineshaft.models.loading import load_model
from lineshaft.models.matrix import feature_matrix
from lineshaft.models.scores import Floats, gain
from lineshaft.models.spec import ModelSpec
from lineshaft.models.trained import TrainedModel
from lineshaft.specs import Evidence


@dataclass(frozen=True, slots=True, kw_only=True)
class Judge:
    """A rival's bytes and the rows it may be asked about, because it did not learn from them.

    By time, those after `until_us`: the last moment it learned from, its label's reach and the embargo. By asset, all
    but those it has `seen`, or where it is not known which these were, the `unseen` alone.
    """

    artifact: bytes
    seen: frozenset[str] = frozenset()
    unseen: frozenset[str] | None = None
    until_us: int | None = None

    def may(self, groups: NDArray[np.str_], times: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Tell which rows it may be asked about.

        >>> groups, times = np.array(["a", "b"]), np.array([1, 5])
        >>> Judge(artifact=b"", seen=frozenset("a")).may(groups, times).tolist()
        [False, True]
        >>> Judge(artifact=b"", until_us=0).may(groups, times).tolist()
        [True, True]
        """
        if self.until_us is not None:
            return np.asarray(times > self.until_us)
        if self.unseen is not None:
            return np.isin(groups, list(self.unseen))
        return ~np.isin(groups, list(self.seen))


@dataclass(frozen=True, slots=True, kw_only=True)
class Rival:
    """A version to be set beside: its inputs in order, and its judges, of whom the first that may answers for a row.

    A detector's `rule` says which scores it alarms at. `why_not` says why it has no judges.
    """

    ref: str
    features: tuple[str, ...]
    judges: Sequence[Judge]
    rule: AlarmRule | None = None
    why_not: str = ""


def beside(spec: ModelSpec, table: pa.Table, trained: TrainedModel, rival: Rival) -> Evidence:
    """Return what a trained model gains over a rival on the rows that neither side learned from.

    A rival that knows the answers by heart would look better than it is, so where it saw them all there is nothing to
    compare, and `why_not` says so; likewise where its inputs are not in the training set.
    """
    mine, why_not = trained.unseen, rival.why_not
    chosen, theirs = np.zeros(len(mine.groups), dtype=bool), np.full(len(mine.groups), np.nan)
    try:
        rows = table.take(pa.array(mine.places))
        times = np.asarray(rows[spec.time].cast(pa.timestamp("us", tz="UTC")).cast(pa.int64()).to_numpy())
        for judge in rival.judges:
            asked = judge.may(mine.groups, times) & ~chosen
            if asked.any():
                theirs[asked] = _scores(judge.artifact, rival.features, rows.filter(pa.array(asked)))
                chosen |= asked
        chosen &= np.isfinite(theirs)
        if not chosen.any():
            why_not = why_not or f"{rival.ref} learned from every row that is held out here, or can score none"
    except LineshaftError as error:
        chosen[:] = False
        why_not = why_not or f"{rival.ref} cannot be asked about these rows: {error.what}"
    figures = {}
    if chosen.any():
        name, figure = gain(
            spec.task,
            labels=mine.labels[chosen],
            scores=_said(mine.scores[chosen], spec.alert, spec.task),
            rival=_said(theirs[chosen], rival.rule, spec.task),
            groups=mine.groups[chosen],
            seed=spec.seed,
        )
        figures[name] = figure
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


def _scores(artifact: bytes, features: tuple[str, ...], rows: pa.Table) -> Floats:
    """Return what a model says of rows."""
    return load_model(artifact, features=features).predict(feature_matrix(rows, features))


def _said(scores: Floats, rule: AlarmRule | None, task: str) -> Floats:
    """Return what is compared: scores, or of detectors, whose scores have no common unit, where each would alarm."""
    if task != "anomaly" or rule is None:
        return scores
    return rule.passed(scores).astype(np.float64)
