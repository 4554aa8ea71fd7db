"""What training gives, whatever was trained."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lineshaft.models.matrix import Examples
from lineshaft.models.scores import Floats
from lineshaft.models.spec import ModelSpec
from lineshaft.models.tuning import Search


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainedModel:
    """A model's bytes (UBJSON of trees, JSON of a detector), how it was made, and how it did on assets it never saw."""

    artifact: bytes
    artifact_format: str
    features: tuple[str, ...]
    params: Mapping[str, object]
    metrics: Mapping[str, float]
    training_set: str
    rows: int
    seed: int
    library: str
    unseen: Unseen
    curve: tuple[tuple[float, float], ...] = ()  # what a model card draws
    search: Search | None = None  # where parameters were looked for


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """A model's bytes alone: what it was fitted with, and by what."""

    artifact: bytes
    params: Mapping[str, object]
    library: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Unseen:
    """How rows were scored that the model judged on them never saw: what a rival is set beside.

    `assets` are those the artifact itself never learned from; none where folds, or a past of each, let it learn of all.
    """

    labels: Floats
    scores: Floats
    groups: NDArray[np.str_]
    places: NDArray[np.int64]  # in the table
    assets: tuple[str, ...]

    @staticmethod
    def of(spec: ModelSpec, rows: Examples, scores: Floats) -> Unseen:
        """Return held-out rows and what was said of them."""
        assets = () if spec.folds or spec.split == "time" else tuple(sorted(set(rows.groups.tolist())))
        return Unseen(labels=rows.labels, scores=scores, groups=rows.groups, places=rows.places, assets=assets)


def told_of(spec: ModelSpec) -> dict[str, object]:
    """Return what a version keeps of its declaration beside what its library was told: split, law, search, alert."""
    split: dict[str, object] = {"folds": spec.folds} if spec.folds else {"test_share": spec.test_share}
    split |= {"split": "time", "embargo_us": spec.embargo_us} if spec.split == "time" else {}
    split |= {"budget": spec.budget} if spec.budget else {}
    split |= {} if spec.calibrate == "none" else {"calibrate": spec.calibrate}
    split |= {"study": spec.study} if spec.study else {}
    return split if spec.alert is None else {**split, "alert": spec.alert.to_params()}
