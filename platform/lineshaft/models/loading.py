"""A registered model's bytes as something that scores: trees or a detector, told apart by how they begin."""

from __future__ import annotations

from collections.abc import Sequence

from lineshaft.errors import CorruptError
from lineshaft.models.detectors import Detector, from_bytes, is_detector
from lineshaft.models.scoring import Scorer


def load_model(artifact: bytes, *, features: Sequence[str]) -> Scorer | Detector:
    """Read a model of whatever kind.

    Raises
    ------
    CorruptError
        If the bytes are no model, or one with other features than the registry says.
    """
    if not is_detector(artifact):
        return Scorer.load(artifact, features=features)
    detector = from_bytes(artifact)
    if detector.features != tuple(features):
        raise CorruptError(
            "the model's features are not those registered with it",
            where=f"{len(detector.features)} in the model, {len(features)} registered",
            fix="register the model again",
        )
    return detector
