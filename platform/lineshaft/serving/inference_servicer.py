"""The Open Inference Protocol on the gRPC port: convert, call, convert."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

import grpc
import numpy as np
from numpy.typing import NDArray

from lineshaft import __version__
from lineshaft.access.guard import Caller
from lineshaft.errors import InputError, NotFoundError
from lineshaft.rpc.inference.v1 import inference_pb2
from lineshaft.serving.answers import budget_s, on
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

NAME = "inference.GRPCInferenceService"
_PACKED = {"INT64": "<i8", "FP32": "<f4", "FP64": "<f8"}


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
            ready = await self._predicting.ready(request.name, self._caller())
            refuse_other(ready.version.number, request.version, request.name)
        except NotFoundError:
            return inference_pb2.YesResponse(yes=False)
        return inference_pb2.YesResponse(yes=True)

    async def ModelMetadata(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Say what a model takes, join keys or its features, and what it gives."""
        ready = await self._predicting.ready(request.name, self._caller())
        refuse_other(ready.version.number, request.version, request.name)
        plan = await on(self._predicting.answers.pool, lambda: self._predicting.plans.pinned(ready.service))
        tensor = inference_pb2.ModelMetadataResponse.TensorMetadata
        return inference_pb2.ModelMetadataResponse(
            name=request.name,
            versions=[str(ready.version.number)],
            platform="lineshaft",
            inputs=[
                tensor(name=name, datatype=kind, shape=shape) for name, (kind, shape) in inputs_of(ready, plan).items()
            ],
            outputs=[tensor(name=name, datatype=kind, shape=[-1]) for name, kind in OUTPUTS.items()],
        )

    async def ModelInfer(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Score entities by a model's champion, from features as of now, or vectors of features that are given."""
        limit_s = budget_s(self._predicting.answers.timeout_s, context.time_remaining())
        wanted = wanted_outputs(output.name for output in request.outputs)
        question = question_of(request.model_name, tensors_of(request))

        def convert(told: Predictions) -> Any:
            refuse_other(told.number, request.model_version, request.model_name)
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


def tensors_of(request: Any) -> list[Tensor]:
    """Return the inputs of a request; raises `InputError` for what is cut off, or of a type that is not taken."""
    raw = list(request.raw_input_contents)
    if raw and len(raw) != len(request.inputs):
        raise InputError(f"{len(raw)} raw contents for {len(request.inputs)} inputs", fix="send one for each input")
    found = []
    for place, tensor in enumerate(request.inputs):
        refuse_type(tensor.name, tensor.datatype)
        values = _raw_values(tensor, raw[place]) if raw else _typed_values(tensor)
        found.append(Tensor(name=tensor.name, datatype=tensor.datatype, shape=tuple(tensor.shape), values=values))
    return found


def _typed_values(tensor: Any) -> Column | NDArray[np.float64]:
    contents = tensor.contents
    if tensor.datatype == "INT64":
        return np.array(contents.int64_contents, np.int64)
    if tensor.datatype == "BYTES":
        return [_text(value, tensor.name) for value in contents.bytes_contents]
    return np.array(contents.fp32_contents if tensor.datatype == "FP32" else contents.fp64_contents, np.float64)


def _raw_values(tensor: Any, raw: bytes) -> Column | NDArray[np.float64]:
    """Read values as the protocol packs them."""
    if code := _PACKED.get(tensor.datatype):
        if len(raw) % np.dtype(code).itemsize:
            raise InputError(f"input {tensor.name!r} is cut off", fix="send whole values")
        values = np.frombuffer(raw, code)
        return values.astype(np.int64) if tensor.datatype == "INT64" else values.astype(np.float64)
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


def _reply(told: Predictions, wanted: list[str], request_id: str) -> Any:
    reply = inference_pb2.ModelInferResponse(model_name=told.model, model_version=str(told.number), id=request_id)
    for name in wanted:
        reply.outputs.add(name=name, datatype=OUTPUTS[name], shape=[len(told.scores)])
        if OUTPUTS[name] == "BYTES":
            reply.raw_output_contents.append(b"".join(map(_packed, texts_of(told, name))))
        else:
            reply.raw_output_contents.append(told.scores.astype("<f8").tobytes())
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
