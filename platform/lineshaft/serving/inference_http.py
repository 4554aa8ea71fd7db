"""The Open Inference Protocol over HTTP: JSON in, JSON out, beside gRPC and by the same handler."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lineshaft import __version__
from lineshaft.errors import InputError, NotFoundError
from lineshaft.serving.answers import on
from lineshaft.serving.http_app import NOT_FOUND, Refused, Reply, Request, Routes, json_object
from lineshaft.serving.inference import (
    OUTPUTS,
    Tensor,
    inputs_of,
    question_of,
    refuse_other,
    refuse_type,
    texts_of,
    wanted_outputs,
)
from lineshaft.serving.predicting import Predicting
from lineshaft.serving.predictions import Predictions
from lineshaft.tiles.keys import Column

ROOT = "/v2"
_MODEL = f"{ROOT}/models/{{model}}"
_VERSION = f"{_MODEL}/versions/{{version}}"


class InferenceHttp:
    """The protocol's routes."""

    def __init__(self, *, predicting: Predicting) -> None:
        self._predicting = predicting

    @property
    def routes(self) -> Routes:
        """Return what is answered, by method and path."""
        return {
            f"GET {ROOT}": self._server,
            f"GET {ROOT}/health/live": self._live,
            f"GET {ROOT}/health/ready": self._ready,
            **{f"GET {place}": self._metadata for place in (_MODEL, _VERSION)},
            **{f"GET {place}/ready": self._model_ready for place in (_MODEL, _VERSION)},
            **{f"POST {place}/infer": self._infer for place in (_MODEL, _VERSION)},
        }

    async def _server(self, _request: Request) -> Reply:
        return Reply(content={"name": "lineshaft", "version": __version__, "extensions": []})

    async def _live(self, _request: Request) -> Reply:
        return Reply(content={"live": True})

    async def _ready(self, _request: Request) -> Reply:
        return Reply(content={"ready": True})

    async def _model_ready(self, request: Request) -> Reply:
        model = request.open["model"]
        try:
            ready = await self._predicting.ready(model, request.caller)
            refuse_other(ready.version.number, request.open.get("version", ""), model)
        except NotFoundError:
            return Reply(code=NOT_FOUND, content={"name": model, "ready": False})
        return Reply(content={"name": model, "ready": True})

    async def _metadata(self, request: Request) -> Reply:
        model = request.open["model"]
        ready = await self._predicting.ready(model, request.caller)
        refuse_other(ready.version.number, request.open.get("version", ""), model)
        plan = await on(self._predicting.answers.pool, lambda: self._predicting.plans.pinned(ready.service))
        takes = inputs_of(ready, plan)
        content = {
            "name": model,
            "versions": [str(ready.version.number)],
            "platform": "lineshaft",
            "inputs": [{"name": name, "datatype": kind, "shape": shape} for name, (kind, shape) in takes.items()],
            "outputs": [{"name": name, "datatype": kind, "shape": [-1]} for name, kind in OUTPUTS.items()],
            "parameters": {"features": list(ready.version.features)},
        }
        return Reply(content=content)

    async def _infer(self, request: Request) -> Reply:
        asked = json_object(request.body)
        outputs = asked.get("outputs") or []
        if not isinstance(outputs, list) or not all(isinstance(one, dict) for one in outputs):
            raise InputError("`outputs` is no list of outputs", fix='write [{"name": "score"}], or leave it out')
        wanted = wanted_outputs(str(one.get("name")) for one in outputs)
        question = question_of(request.open["model"], tensors_of(asked.get("inputs")))

        def convert(told: Predictions) -> Reply:
            refuse_other(told.number, request.open.get("version", ""), told.model)
            return Reply(content=_answer(told, wanted, asked.get("id")))

        limit_s = self._predicting.answers.timeout_s
        return await self._predicting.of(question, convert, limit_s=limit_s, caller=request.caller)


def error_words(refused: Refused) -> dict[str, str]:
    """Return a refusal as the protocol has it."""
    return {"error": ": ".join(filter(None, (refused.code, refused.what)))}


def tensors_of(inputs: object) -> list[Tensor]:
    """Return the inputs of a request; raises `InputError` for what is no tensor."""
    if not isinstance(inputs, list) or not all(isinstance(one, dict) for one in inputs):
        raise InputError("`inputs` is no list of tensors", fix="write name, datatype, shape and data of each")
    return [_tensor(one) for one in inputs]


def _tensor(given: dict[str, Any]) -> Tensor:
    name, datatype, shape, data = (given.get(key) for key in ("name", "datatype", "shape", "data"))
    if not isinstance(name, str) or not isinstance(datatype, str):
        raise InputError("an input has no name, or no datatype", fix="write name, datatype, shape and data of each")
    refuse_type(name, datatype)
    if not isinstance(shape, list) or not all(type(size) is int for size in shape):
        raise InputError(f"input {name!r} has no shape", fix="give [n]")
    if not isinstance(data, list):
        raise InputError(f"input {name!r} has no data", fix="give its values as a list; binary data is not taken")
    values = _values(name, datatype, list(_flat(data)))
    return Tensor(name=name, datatype=datatype, shape=tuple(shape), values=values)


def _flat(data: list[Any]) -> Iterator[Any]:
    """Yield the values of nested lists, row by row, of two levels at most: no tensor taken here has more.

    >>> list(_flat([[1, 2], [3, 4]])), list(_flat([1, 2]))
    ([1, 2, 3, 4], [1, 2])
    """
    for one in data:
        yield from one if isinstance(one, list) else (one,)


def _values(name: str, datatype: str, data: list[Any]) -> Column | NDArray[np.float64]:
    """Return values of their type; null is a number that is not known, and nothing else."""
    try:
        if datatype == "BYTES" and all(type(one) is str for one in data):
            return data
        if datatype == "INT64" and all(type(one) is int for one in data):
            return np.array(data, dtype=np.int64)
        if datatype.startswith("FP") and all(one is None or type(one) in (int, float) for one in data):
            return np.array([np.nan if one is None else one for one in data], dtype=np.float64)
    except OverflowError:
        pass
    raise InputError(f"input {name!r} has values that are no {datatype}", fix="send values of the type it names")


def _answer(told: Predictions, wanted: list[str], asked_as: object) -> dict[str, Any]:
    shape = [len(told.scores)]
    scores = [score if np.isfinite(score) else None for score in told.scores.tolist()]
    outputs = [
        {
            "name": name,
            "datatype": kind,
            "shape": shape,
            "data": texts_of(told, name) if kind == "BYTES" else scores,
        }
        for name, kind in OUTPUTS.items()
        if name in wanted
    ]
    named = {"id": asked_as} if isinstance(asked_as, str) and asked_as else {}
    return {"model_name": told.model, "model_version": str(told.number), **named, "outputs": outputs}
