"""The Open Inference Protocol whatever it comes over: tensors in, the answers of `Predict` out.

A question is asked in one of two ways: by join keys, of which the server looks the features up, or by one tensor
`features` that holds them all, for whoever has them already.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lineshaft.errors import InputError, NotFoundError
from lineshaft.serving.features import Plan
from lineshaft.serving.predictions import Predictions, Question
from lineshaft.serving.standing import Ready
from lineshaft.specs import Status
from lineshaft.tiles.keys import Column, Keys

VECTORS = "features"
"""The tensor that holds a model's inputs in their order, n x features, NaN (in JSON null) where nothing is known."""
OUTPUTS = {"score": "FP64", "status": "BYTES", "version": "BYTES"}
_NUMBERS = ("FP32", "FP64")
_TYPES = ("BYTES", "INT64", *_NUMBERS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tensor:
    """A named tensor: texts of BYTES, int64 of INT64, floats of FP32 and FP64, in row-major order."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    values: Column | NDArray[np.float64]


def refuse_type(name: str, datatype: str) -> None:
    """Raise `InputError` for tensors of which nothing is made."""
    if datatype not in _TYPES:
        what = f"input {name!r} is {datatype or 'of no type'}"
        raise InputError(what, fix=f"send join keys as BYTES or INT64, or {VECTORS!r} as FP32 or FP64")


def question_of(model: str, tensors: Sequence[Tensor]) -> Question:
    """Return what tensors ask of a model; raises `InputError` for those that are neither keys nor its inputs."""
    if not tensors:
        raise InputError("no entities asked for", fix=f"send the join keys as inputs, or {VECTORS!r}")
    names = [one.name for one in tensors]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise InputError(f"input {twice!r} is given twice", fix="send each once")
    numbers = [one for one in tensors if one.datatype in _NUMBERS]
    if not numbers:
        return Question(model=model, keys=Keys({one.name: _column(one) for one in tensors}), why=False)
    if len(tensors) > 1 or numbers[0].name != VECTORS:
        what = f"input {numbers[0].name!r} is {numbers[0].datatype}: features are looked up by join keys, or all given"
        raise InputError(what, fix=f"send join keys as BYTES or INT64, or {VECTORS!r} alone, n x features")
    vectors = _matrix(numbers[0])
    return Question(model=model, keys=Keys({"row": np.arange(len(vectors))}), why=False, vectors=vectors)


def _column(tensor: Tensor) -> Column:
    """Return a join key's values."""
    shape, count = tensor.shape, len(tensor.values)
    if len(shape) not in {1, 2} or shape[1:] not in {(), (1,)} or shape[0] != count:
        raise InputError(f"input {tensor.name!r} has {count} values and shape {list(shape)}", fix="give [n] or [n, 1]")
    return tensor.values  # type: ignore[return-value]  # no number came here


def _matrix(tensor: Tensor) -> NDArray[np.float32]:
    """Return a model's inputs; what is too large for float32 is infinite, as of features that are looked up."""
    shape, count = tensor.shape, len(tensor.values)
    if len(shape) != 2 or min(shape) < 1 or shape[0] * shape[1] != count:
        what = f"input {tensor.name!r} has {count} values and shape {list(shape)}"
        raise InputError(what, fix="give [n, features]")
    with np.errstate(over="ignore"):
        return np.asarray(tensor.values).astype(np.float32).reshape(shape)


def wanted_outputs(names: Iterable[str]) -> list[str]:
    """Return the outputs asked for, all where none is named; raises `InputError` for one that there is not."""
    wanted = list(names) or list(OUTPUTS)
    for name in wanted:
        if name not in OUTPUTS:
            raise InputError(f"there is no output {name!r}", fix=f"ask for {', '.join(OUTPUTS)}")
    return wanted


def texts_of(told: Predictions, name: str) -> list[str]:
    """Return an output that is of texts."""
    if name == "version":
        return [by.version for by, _ in told.by_row()]
    return [Status(int(one)).name for one in told.statuses]


def refuse_other(number: int, wanted: str, model: str) -> None:
    """Raise `NotFoundError` where another version is asked for than answers."""
    if wanted and wanted != str(number):
        raise NotFoundError(f"{model}@{wanted} is not champion: {number} is", fix="leave the version out")


def inputs_of(ready: Ready, plan: Plan) -> Mapping[str, tuple[str, list[int]]]:
    """Return the tensors that a model takes, with type and shape: the join keys, or `features` in their place."""
    keys = {name: ("BYTES" if kind == "string" else "INT64", [-1]) for name, kind in plan.join_keys.items()}
    return {**keys, VECTORS: ("FP32", [-1, len(ready.version.features)])}
