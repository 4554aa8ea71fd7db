"""The Open Inference Protocol on our own port: join keys in, scores out, the answers of `Predict`."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from typing import Any

import grpc
import numpy as np

from lineshaft import __version__
from lineshaft.access.guard import Caller
from lineshaft.errors import InputError, NotFoundError
from lineshaft.rpc.inference.v1 import inference_pb2
from lineshaft.serving.answers import budget_s, on
from lineshaft.serving.predicting import Predicting
from lineshaft.serving.predictions import Predictions, Question
from lineshaft.serving.standing import Ready
from lineshaft.specs import Status
from lineshaft.tiles.keys import Column, Keys

NAME = "inference.GRPCInferenceService"
_OUTPUTS = {"score": "FP64", "status": "BYTES", "version": "BYTES"}
_KEY_TYPES = {"BYTES": "texts", "INT64": "whole numbers"}


class InferenceServicer:
    """The methods of `inference.GRPCInferenceService` that are about answers; none about a server's insides."""

    def __init__(self, *, predicting: Predicting, caller: Callable[[], Caller]) -> None:
        self._predicting, self._caller = predicting, caller

    async def ServerLive(self, request: Any, context: Any) -> Any:  # noqa: N802 - named by the protocol
        """Say that it runs."""
        return inference_pb2.YesResponse(yes=True)

    async def ServerReady(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Say that it answers."""
        return inference_pb2.YesResponse(yes=True)

    async def ServerMetadata(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Say who answers."""
        return inference_pb2.ServerMetadataResponse(name="lineshaft", version=__version__)

    async def ModelReady(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Say whether a model has a champion, of the version that is asked for."""
        try:
            _as_wanted(await self._predicting.ready(request.name, self._caller()), request.version)
        except NotFoundError:
            return inference_pb2.YesResponse(yes=False)
        return inference_pb2.YesResponse(yes=True)

    async def ModelMetadata(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Say which join keys a model takes, and what it gives."""
        ready = _as_wanted(await self._predicting.ready(request.name, self._caller()), request.version)
        plan = await on(self._predicting.answers.pool, lambda: self._predicting.plans.pinned(ready.service))
        kinds = {name: "BYTES" if kind == "string" else "INT64" for name, kind in plan.join_keys.items()}
        tensor = inference_pb2.ModelMetadataResponse.TensorMetadata
        return inference_pb2.ModelMetadataResponse(
            name=request.name,
            versions=[str(ready.version.number)],
            platform="lineshaft",
            inputs=[tensor(name=name, datatype=kind, shape=[-1]) for name, kind in kinds.items()],
            outputs=[tensor(name=name, datatype=kind, shape=[-1]) for name, kind in _OUTPUTS.items()],
        )

    async def ModelInfer(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Score entities by a model's champion, from features as of now."""
        limit_s = budget_s(self._predicting.answers.timeout_s, context.time_remaining())
        wanted = [output.name for output in request.outputs] or list(_OUTPUTS)
        for name in wanted:
            if name not in _OUTPUTS:
                raise InputError(f"there is no output {name!r}", fix=f"ask for {', '.join(_OUTPUTS)}")
        question = Question(model=request.model_name, keys=keys_of(request), why=False)

        def convert(told: Predictions) -> Any:
            _refuse_other(told.number, request.model_version, request.model_name)
            return _reply(told, wanted, request.id)

        return await self._predicting.of(question, convert, limit_s=limit_s, caller=self._caller())


def inference_service(servicer: InferenceServicer) -> Any:
    """Return gRPC's handler of the service, by the full name that clients call."""
    empty, model = inference_pb2.EmptyRequest, inference_pb2.ModelRequest
    methods = {
        "ServerLive": _unary(servicer.ServerLive, empty),
        "ServerReady": _unary(servicer.ServerReady, empty),
        "ServerMetadata": _unary(servicer.ServerMetadata, empty),
        "ModelReady": _unary(servicer.ModelReady, model),
        "ModelMetadata": _unary(servicer.ModelMetadata, model),
        "ModelInfer": _unary(servicer.ModelInfer, inference_pb2.ModelInferRequest),
    }
    return grpc.method_handlers_generic_handler(NAME, methods)


def keys_of(request: Any) -> Keys:
    """Return the entities of a request; raises `InputError` for tensors that are no join keys."""
    raw = list(request.raw_input_contents)
    if not request.inputs:
        raise InputError("no entities asked for", fix="send the join keys as inputs")
    if raw and len(raw) != len(request.inputs):
        raise InputError(f"{len(raw)} raw contents for {len(request.inputs)} inputs", fix="send one for each input")
    columns: dict[str, Column] = {}
    for place, tensor in enumerate(request.inputs):
        if tensor.datatype not in _KEY_TYPES:
            what = f"input {tensor.name!r} is {tensor.datatype}: inputs are join keys, features are looked up"
            raise InputError(what, fix="send BYTES or INT64; ModelMetadata names the keys")
        if tensor.name in columns:
            raise InputError(f"input {tensor.name!r} is given twice", fix="send each join key once")
        values = _raw_values(tensor, raw[place]) if raw else _typed_values(tensor)
        count = int(np.prod(tensor.shape)) if tensor.shape else 0
        if len(tensor.shape) not in {1, 2} or (len(tensor.shape) == 2 and tensor.shape[1] != 1) or count != len(values):
            what = f"input {tensor.name!r} has {len(values)} values and shape {list(tensor.shape)}"
            raise InputError(what, fix="give shape [n] or [n, 1]")
        columns[tensor.name] = values
    return Keys(columns)


def _typed_values(tensor: Any) -> Column:
    if tensor.datatype == "INT64":
        return np.array(tensor.contents.int64_contents, np.int64)
    return [_text(value, tensor.name) for value in tensor.contents.bytes_contents]


def _raw_values(tensor: Any, raw: bytes) -> Column:
    """Read values as the protocol packs them."""
    if tensor.datatype == "INT64":
        if len(raw) % 8:
            raise InputError(f"input {tensor.name!r} is cut off", fix="send whole values")
        return np.frombuffer(raw, "<i8").astype(np.int64)
    found, at = [], 0
    while at < len(raw):
        (size,) = struct.unpack_from("<I", raw, at) if at + 4 <= len(raw) else (len(raw),)
        if at + 4 + size > len(raw):
            raise InputError(f"input {tensor.name!r} is cut off", fix="send each text behind its length")
        found.append(_text(raw[at + 4 : at + 4 + size], tensor.name))
        at += 4 + size
    return found


def _text(value: bytes, name: str) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        raise InputError(f"input {name!r} holds bytes that are no text", fix="send UTF-8") from error


def _as_wanted(ready: Ready, wanted: str) -> Ready:
    _refuse_other(ready.version.number, wanted, ready.version.model)
    return ready


def _refuse_other(number: int, wanted: str, model: str) -> None:
    if wanted and wanted != str(number):
        raise NotFoundError(f"{model}@{wanted} is not champion: {number} is", fix="leave the version out")


def _reply(told: Predictions, wanted: list[str], request_id: str) -> Any:
    n = len(told.scores)
    packed: Mapping[str, Callable[[], bytes]] = {
        "score": lambda: told.scores.astype("<f8").tobytes(),
        "status": lambda: b"".join(_packed(Status(int(one)).name) for one in told.statuses),
        "version": lambda: b"".join(_packed(by.version) for by, _ in told.by_row()),
    }
    reply = inference_pb2.ModelInferResponse(model_name=told.model, model_version=str(told.number), id=request_id)
    for name in wanted:
        reply.outputs.add(name=name, datatype=_OUTPUTS[name], shape=[n])
        reply.raw_output_contents.append(packed[name]())
    return reply


def _packed(text: str) -> bytes:
    r"""Return a text behind its length.

    >>> _packed("ok")
    b'\x02\x00\x00\x00ok'
    """
    raw = text.encode()
    return struct.pack("<I", len(raw)) + raw


def _unary(behaviour: Any, request: Any) -> Any:
    return grpc.unary_unary_rpc_method_handler(behaviour, request.FromString, lambda reply: reply.SerializeToString())
