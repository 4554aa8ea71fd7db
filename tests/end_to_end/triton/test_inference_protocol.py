"""The Open Inference Protocol: Triton's own client is answered right, and what is malformed is refused."""

from __future__ import annotations

import hashlib
import json
import os
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from lineshaft.rpc.inference.v1 import inference_pb2

ROOT = Path(__file__).resolve().parents[3]
INFER = "/inference.GRPCInferenceService/ModelInfer"


@pytest.fixture(scope="session")
def triton_python() -> Path:
    """Return a Python that has Triton's client and nothing of ours; it is made once and kept."""
    lock = Path(__file__).parent / "environment.lock"
    home = ROOT / ".cache" / f"triton-{hashlib.sha256(lock.read_bytes() + sys.version.encode()).hexdigest()[:12]}"
    python = home / "bin" / "python"
    if not (home / "ready").exists():
        uv = str(Path(sys.executable).parent / "uv")
        subprocess.run([uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(home)], check=True)
        install = [uv, "pip", "install", "--quiet", "--require-hashes", "--no-deps", "--python", str(python)]
        subprocess.run([*install, "-r", str(lock)], check=True)
        (home / "ready").touch()
    return python


@pytest.mark.heavy
def test_tritons_client_is_answered_right(address: str, triton_python: Path) -> None:
    """Every call of the client that is about answers: liveness, metadata, scores by texts and numbers, refusals."""
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}  # noqa: TID251 - a child's
    command = [str(triton_python), str(Path(__file__).parent / "calls.py"), address]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])

    assert (found["live"], found["ready"], found["server"]) == (True, True, "lineshaft")
    assert found["models"] == [True, False, False]
    assert {one["name"]: one["datatype"] for one in found["metadata"]["inputs"]} == {
        "asset_id": "BYTES",
        "stage": "INT64",
        "features": "FP32",
    }
    assert found["vectors"] == [["0.5", "nan", "-2.0"]] * 2
    assert [one["name"] for one in found["metadata"]["outputs"]] == ["score", "status", "version"]
    assert found["scores"] == ["7.0", "0.0", "nan"]
    assert found["statuses"] == ["PRESENT", "PRESENT", "NOT_FOUND"]
    assert found["versions"] == ["wear@3"] * 3
    assert found["answer"] == ["3", "r7"]
    assert found["only"] == [[7.0, 0.0], True]
    for refused, status, why in (
        ("no model", "NOT_FOUND", "has no champion"),
        ("other version", "NOT_FOUND", "is not champion"),
        ("vector", "INVALID_ARGUMENT", "features are looked up by join keys, or all given"),
        ("output", "INVALID_ARGUMENT", "there is no output 'x'"),
        ("insides", "UNIMPLEMENTED", ""),
    ):
        assert found[refused][0] == f"StatusCode.{status}"
        assert why in found[refused][1]


def infer(address: str, request: Any) -> Any:
    """Return the answer to a request, or the status it is refused with."""
    with grpc.insecure_channel(address) as channel:
        try:
            raw = channel.unary_unary(INFER)(request.SerializeToString(), timeout=5)
        except grpc.RpcError as error:
            return error.code().name
    return inference_pb2.ModelInferResponse.FromString(raw)


def request(*, contents: dict[str, Any] | None = None, raw: bytes | None = None, **tensor: Any) -> Any:
    """Return a question about one pump, its first key as a test gives it."""
    asked = inference_pb2.ModelInferRequest(model_name="wear")
    first = {"name": "asset_id", "datatype": "BYTES", "shape": [1], **tensor}
    asked.inputs.add(**first, contents=contents)
    asked.inputs.add(
        name="stage", datatype="INT64", shape=[1], contents=None if raw is not None else {"int64_contents": [8]}
    )
    if raw is not None:
        asked.raw_input_contents.extend([raw, struct.pack("<q", 8)])
    return asked


def vectors(values: list[float], *, shape: list[int], raw: bytes | None = None, kind: str = "FP32") -> Any:
    """Return a question that gives the model's inputs whole."""
    asked = inference_pb2.ModelInferRequest(model_name="wear")
    field = {"FP32": "fp32_contents", "FP64": "fp64_contents"}[kind]
    asked.inputs.add(name="features", datatype=kind, shape=shape, contents=None if raw else {field: values})
    if raw is not None:
        asked.raw_input_contents.append(raw)
    return asked


@pytest.mark.parametrize(("kind", "code"), [("FP32", "<f"), ("FP64", "<d")])
def test_inputs_may_be_given_whole(address: str, kind: str, code: str) -> None:
    """In either precision and either way: a row of which nothing is known has no score."""
    typed = infer(address, vectors([0.5, float("nan")], shape=[2, 1], kind=kind))
    packed = infer(address, vectors([], shape=[1, 1], raw=struct.pack(code, -2.5), kind=kind))

    assert struct.unpack("<d", typed.raw_output_contents[0][:8]) == (0.5,)
    assert np.isnan(np.frombuffer(typed.raw_output_contents[0], "<f8")).tolist() == [False, True]
    assert packed.raw_output_contents[0] == struct.pack("<d", -2.5)


def test_values_may_stand_in_the_tensor_or_behind_it(address: str) -> None:
    """Both ways of the protocol give the same answer; a column of one is a column too."""
    typed = infer(address, request(contents={"bytes_contents": [b"pump"]}))
    packed = infer(address, request(raw=b"\x04\x00\x00\x00pump"))
    column = infer(address, request(contents={"bytes_contents": [b"pump"]}, shape=[1, 1]))

    assert typed.raw_output_contents[0] == struct.pack("<d", 5.0)
    assert typed == packed == column


@pytest.mark.parametrize(
    "asked",
    [
        request(raw=b"\x05\x00\x00\x00pump"),
        request(raw=b"\x04\x00"),
        request(raw=b"\x01\x00\x00\x00\xff"),
        request(contents={"bytes_contents": [b"\xff"]}),
        request(contents={"bytes_contents": [b"a", b"b"]}),
        request(contents={"bytes_contents": [b"a"]}, shape=[2]),
        request(contents={"bytes_contents": [b"a"]}, shape=[1, 2]),
        request(contents={"bytes_contents": [b"a"]}, shape=[]),
        request(contents={"bytes_contents": [b"a"]}, shape=[-1]),
        request(contents={"bytes_contents": [b"a"]}, name="stage"),
        request(contents={"fp32_contents": [1.0]}, datatype="FP32"),
        request(contents={"fp32_contents": [1.0]}, datatype="FP32", name="features"),
        request(contents={"bool_contents": [True]}, datatype="BOOL"),
        vectors([1.0, 2.0], shape=[1, 2]),
        vectors([1.0, 2.0], shape=[2]),
        vectors([1.0], shape=[2, 1]),
        vectors([], shape=[0, 1]),
        vectors([], shape=[1, 1], raw=b"\0\0\0"),
        inference_pb2.ModelInferRequest(model_name="wear"),
        inference_pb2.ModelInferRequest(model_name="wear", raw_input_contents=[b"a"]),
    ],
)
def test_what_is_malformed_is_refused(address: str, asked: Any) -> None:
    """Cut-off texts, shapes that are none, keys twice, features for keys: an argument's fault, never the server's."""
    assert infer(address, asked) == "INVALID_ARGUMENT"
