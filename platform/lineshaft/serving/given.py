"""A model's inputs that a caller gives whole, in the place of features that would be looked up."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lineshaft.errors import InputError
from lineshaft.models.columns import service_features
from lineshaft.serving.standing import Ready
from lineshaft.specs import Status
from lineshaft.specs.rows import PRESENT
from lineshaft.tiles.answer import Answer
from lineshaft.tiles.sheet import Block, Parts, Sheet


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """An answer that no store was asked for."""

    answer: Answer
    degraded: bool = False


def given(ready: Ready, vectors: NDArray[np.float32]) -> Given:
    """Return a model's inputs (n x features, in its order, NaN where unknown) as its service would answer them.

    Raises `InputError` where they are not as many as the model has.
    """
    wanted, names = len(ready.version.features), service_features(ready.service)
    if vectors.shape[1] != wanted:
        what = f"{ready.version.ref} has {wanted} inputs, not {vectors.shape[1]}"
        raise InputError(what, fix=f"send {', '.join(ready.version.features[:3])}… in the order that it was trained in")
    n, places = len(vectors), list(ready.columns)
    values = np.full((len(names), n), np.nan, dtype=np.float32)
    values[places] = vectors.T
    status = np.where(np.isnan(values), np.int8(Status.NULL), PRESENT).T
    block = Block(dtype="float32", places=tuple(range(len(names))), values=values)
    return Given(
        answer=Answer(sheet=Sheet(names=names, rows=n, parts=Parts(blocks=(block,))), status=status, age_us={})
    )
