"""What training gives, whatever was trained."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lineshaft.models.spec import ModelSpec


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
    curve: tuple[tuple[float, float], ...] = ()  # what a model card draws


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """A model's bytes alone: what it was fitted with, and by what."""

    artifact: bytes
    params: Mapping[str, object]
    library: str


def told_of(spec: ModelSpec) -> dict[str, object]:
    """Return what a version keeps of its declaration beside what its library was told: the split, the alert."""
    split: dict[str, object] = {"folds": spec.folds} if spec.folds else {"test_share": spec.test_share}
    return split if spec.alert is None else {**split, "alert": spec.alert.to_params()}
