"""The calls of Triton's own client, done to our server; prints what was answered as JSON.

Runs in an environment that has the client, as `calls.py ADDRESS`.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import numpy as np
import tritonclient.grpc as triton
from tritonclient.utils import InferenceServerException


def tensors(names: list[str], stages: list[int]) -> list[Any]:
    """Return entities as tensors."""
    asset, stage = (
        triton.InferInput("asset_id", [len(names)], "BYTES"),
        triton.InferInput("stage", [len(stages)], "INT64"),
    )
    asset.set_data_from_numpy(np.array([name.encode() for name in names], dtype=np.object_))
    stage.set_data_from_numpy(np.array(stages, dtype=np.int64))
    return [asset, stage]


def refusal(call: Any) -> list[str]:
    """Return the status and the message that a call is refused with."""
    try:
        call()
    except InferenceServerException as error:
        return [error.status(), error.message()]
    return []


def main() -> None:
    """Ask."""
    client = triton.InferenceServerClient(sys.argv[1])
    entities = tensors(["pump-ä", "名前", ""], [8, -16, 0])
    whole = client.infer("wear", entities, request_id="r7")
    only = client.infer("wear", entities, model_version="3", outputs=[triton.InferRequestedOutput("score")])
    metadata = client.get_model_metadata("wear", as_json=True)
    vector = triton.InferInput("rms", [1, 1], "FP32")
    vector.set_data_from_numpy(np.zeros((1, 1), np.float32))
    whole_vectors = []
    for kind, dtype in (("FP32", np.float32), ("FP64", np.float64)):
        given = triton.InferInput("features", [3, 1], kind)
        given.set_data_from_numpy(np.array([[0.5], [np.nan], [-2]], dtype))
        whole_vectors.append([str(score) for score in client.infer("wear", [given]).as_numpy("score")])
    found = {
        "live": client.is_server_live(),
        "ready": client.is_server_ready(),
        "server": client.get_server_metadata().name,
        "models": [client.is_model_ready("wear"), client.is_model_ready("wear", "2"), client.is_model_ready("no")],
        "metadata": metadata,
        "scores": [str(score) for score in whole.as_numpy("score")],
        "statuses": [word.decode() for word in whole.as_numpy("status")],
        "versions": [word.decode() for word in whole.as_numpy("version")],
        "answer": [whole.get_response().model_version, whole.get_response().id],
        "only": [only.as_numpy("score").tolist()[:2], only.as_numpy("status") is None],
        "no model": refusal(lambda: client.infer("no", entities)),
        "other version": refusal(lambda: client.infer("wear", entities, model_version="2")),
        "vectors": whole_vectors,
        "vector": refusal(lambda: client.infer("wear", [vector])),
        "output": refusal(lambda: client.infer("wear", entities, outputs=[triton.InferRequestedOutput("x")])),
        "insides": refusal(lambda: client.get_model_config("wear")),
    }
    print(json.dumps(found))  # noqa: T201 - read by the test


if __name__ == "__main__":
    main()
