"""The Open Inference Protocol over HTTP: the answers that gRPC gives, in JSON, and refusals in the protocol's words."""

from __future__ import annotations

from typing import Any

import grpc
import httpx
import numpy as np
import pytest

from lineshaft.rpc.inference.v1 import inference_pb2

INFER = "/v2/models/wear/infer"


def tensor(name: str, datatype: str, shape: list[int], data: Any) -> dict[str, Any]:
    """Return a tensor as JSON has it."""
    return {"name": name, "datatype": datatype, "shape": shape, "data": data}


PUMPS = [tensor("asset_id", "BYTES", [3], ["pump-ä", "名前", ""]), tensor("stage", "INT64", [3, 1], [[8], [-16], [0]])]


def outputs(reply: httpx.Response) -> dict[str, list[Any]]:
    """Return the data of each output."""
    assert reply.status_code == 200, reply.text
    return {one["name"]: one["data"] for one in reply.json()["outputs"]}


def test_an_answer_is_the_one_of_grpc(http: str, address: str) -> None:
    """Score for score, status for status; what has no score is null, which JSON has a word for."""
    asked = inference_pb2.ModelInferRequest(model_name="wear")
    asked.inputs.add(
        name="asset_id",
        datatype="BYTES",
        shape=[3],
        contents={"bytes_contents": [text.encode() for text in PUMPS[0]["data"]]},
    )
    asked.inputs.add(name="stage", datatype="INT64", shape=[3], contents={"int64_contents": [8, -16, 0]})
    with grpc.insecure_channel(address) as channel:
        call = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
        raw = call(asked.SerializeToString(), timeout=5)
    scores = np.frombuffer(inference_pb2.ModelInferResponse.FromString(raw).raw_output_contents[0], "<f8")

    reply = httpx.post(http + INFER, json={"id": "r7", "inputs": PUMPS})

    found = outputs(reply)
    assert found["score"] == [7.0, 0.0, None]
    assert np.array_equal(np.array(found["score"], dtype=np.float64), scores, equal_nan=True)
    assert found["status"] == ["PRESENT", "PRESENT", "NOT_FOUND"]
    assert found["version"] == ["wear@3"] * 3
    told = reply.json()
    assert (told["model_name"], told["model_version"], told["id"]) == ("wear", "3", "r7")


@pytest.mark.parametrize("kind", ["FP32", "FP64"])
@pytest.mark.parametrize("data", [[0.5, None, -2], [[0.5], [None], [-2]]])
def test_inputs_may_be_given_whole(http: str, kind: str, data: list[Any]) -> None:
    """Flat or row by row; null is what is not known."""
    asked = {"inputs": [tensor("features", kind, [3, 1], data)], "outputs": [{"name": "score"}]}

    assert outputs(httpx.post(http + "/v2/models/wear/versions/3/infer", json=asked)) == {"score": [0.5, None, -2.0]}


def test_servers_and_models_say_what_they_are(http: str) -> None:
    """Health, readiness of a model and of a version, what it takes and gives, and the order of its features."""
    ready = {
        place: httpx.get(f"{http}/v2/models/{place}/ready")
        for place in ("wear", "wear/versions/3", "wear/versions/2", "no")
    }
    told = httpx.get(f"{http}/v2/models/wear").json()

    assert httpx.get(f"{http}/v2").json()["name"] == "lineshaft"
    assert httpx.get(f"{http}/v2/health/live").json() == {"live": True}
    assert httpx.get(f"{http}/v2/health/ready").json() == {"ready": True}
    assert [(one.status_code, one.json()["ready"]) for one in ready.values()] == [
        (200, True),
        (200, True),
        (404, False),
        (404, False),
    ]
    assert [(one["name"], one["datatype"], one["shape"]) for one in told["inputs"]] == [
        ("asset_id", "BYTES", [-1]),
        ("stage", "INT64", [-1]),
        ("features", "FP32", [-1, 1]),
    ]
    assert told["parameters"] == {"features": ["pumps__rms"]}
    assert [one["name"] for one in told["outputs"]] == ["score", "status", "version"]
    assert httpx.get(f"{http}/v2/models/wear/versions/2").status_code == 404


@pytest.mark.parametrize(
    "sent",
    [
        {},
        {"inputs": []},
        {"inputs": {}},
        {"inputs": [3]},
        {"inputs": PUMPS, "outputs": ["score"]},
        {"inputs": PUMPS, "outputs": [{"name": "x"}]},
        {"inputs": [PUMPS[0], PUMPS[0]]},
        {"inputs": [{**PUMPS[0], "data": ["a"]}]},
        {"inputs": [{**PUMPS[0], "data": ["a", "b", 3]}]},
        {"inputs": [{**PUMPS[0], "data": None, "parameters": {"binary_data_size": 9}}]},
        {"inputs": [{**PUMPS[0], "shape": [3, 2]}]},
        {"inputs": [{**PUMPS[0], "shape": "3"}]},
        {"inputs": [{**PUMPS[0], "datatype": "BOOL"}]},
        {"inputs": [{**PUMPS[0], "name": None}]},
        {"inputs": [tensor("stage", "INT64", [1], [2**63])]},
        {"inputs": [tensor("stage", "INT64", [1], [True])]},
        {"inputs": [tensor("features", "FP32", [1, 2], [1, 2])]},
        {"inputs": [tensor("features", "FP32", [2], [1, 2])]},
        {"inputs": [tensor("features", "FP32", [1, 1], ["1"])]},
        {"inputs": [tensor("pumps__rms", "FP64", [1, 1], [1])]},
        {"inputs": [*PUMPS, tensor("features", "FP32", [3, 1], [1, 2, 3])]},
    ],
)
def test_what_is_malformed_is_refused(http: str, sent: Any) -> None:
    """An argument's fault, told in the protocol's one word for it, and never the server's."""
    reply = httpx.post(http + INFER, json=sent)

    assert (reply.status_code, list(reply.json())) == (400, ["error"]), reply.text
    assert reply.json()["error"].startswith("LS-INP")


def test_what_is_not_there_is_told_in_the_words_of_its_contract(http: str) -> None:
    """A model without a champion, another version, a path: `error` here, and Feast's `detail` beside it."""
    for place in ("/v2/models/no/infer", "/v2/models/wear/versions/2/infer"):
        reply = httpx.post(http + place, json={"inputs": PUMPS})
        assert (reply.status_code, list(reply.json())) == (404, ["error"])
    assert list(httpx.get(f"{http}/v2/repository/index").json()) == ["error"]
    assert list(httpx.get(f"{http}/v2x").json()) == ["detail"]
