"""Trees as an ONNX model, for who scores elsewhere: checked against the scores served here before anybody gets it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lineshaft.errors import ConflictError, EnvironmentFault, InputError
from lineshaft.models.calibration import PLATT, logistic
from lineshaft.models.scored import Floats
from lineshaft.models.scoring import LINKS, Scorer
from lineshaft.models.trees import Trees

INPUT, OUTPUT = "features", "score"
OPSETS = {"": 15, "ai.onnx.ml": 3}
"""What every runtime of the last years reads."""
TOLERANCE = 1e-5
"""Of a score, and at least of 1: a runtime may add the trees in another order."""
_EXTRA = "pip install 'lineshaft[onnx]'"
_PROBES = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """The bytes of an ONNX model, the same for the same version, and how far it was from the scores served here."""

    content: bytes
    rows: int
    largest_difference: float


def export(scorer: Scorer, *, ref: str, artifact_sha256: str = "") -> Exported:
    """Return a model as ONNX: rows of float32 in, NaN where unknown, scores out; its metadata name the features.

    Raises
    ------
    InputError
        If the model is calibrated by an isotonic law, whose steep lines float32 sums of another order cannot follow.
    ConflictError
        If ONNX Runtime scores it otherwise than it is scored here.
    EnvironmentFault
        If the optional part `onnx` is not installed.
    """
    if scorer.calibration is not None and scorer.calibration.kind != PLATT:
        what = f"{ref} is calibrated by an {scorer.calibration.kind} law, which is not exported"
        raise InputError(what, fix="declare `calibrate: platt` and train it again, or ask the server for its scores")
    told = {
        "lineshaft.model": ref,
        "lineshaft.artifact_sha256": artifact_sha256,
        "lineshaft.features": json.dumps(scorer.features),
        "lineshaft.objective": scorer.objective,
    }
    content = _written(scorer, told)
    rows = probes(scorer)
    return Exported(content=content, rows=len(rows), largest_difference=compared(content, scorer, rows))


def exportable(model: object) -> Scorer:
    """Return a model if it can be exported; raise `InputError` for one that is not trees."""
    if not isinstance(model, Scorer):
        raise InputError("a detector is not exported: it is no sum of trees", fix="ask the server for its scores")
    return model


def probes(scorer: Scorer) -> NDArray[np.float32]:
    """Return rows to compare a model's exports on: its golden rows, and rows of its own thresholds with holes."""
    trees = scorer.trees
    bounds = np.append(trees.threshold[~trees.leaf], np.float32(0))
    generator = np.random.default_rng(0)
    made = generator.choice(np.concatenate([bounds, np.nextafter(bounds, np.float32(-np.inf))]), (_PROBES, trees.width))
    made[generator.random(made.shape) < 0.2] = np.nan
    made[0] = np.nan
    return made if scorer.golden is None else np.concatenate([scorer.golden.rows, made])


def compared(content: bytes, scorer: Scorer, rows: NDArray[np.float32]) -> float:
    """Return the largest difference between an ONNX model's scores and those served here.

    Raises `ConflictError` where it is beyond the tolerance.
    """
    now, served = run(content, rows), scorer.predict(rows)
    apart = np.abs(now - served) / np.maximum(np.abs(served), 1.0)
    if not (apart <= TOLERANCE).all():
        worst = int(np.argmax(np.where(np.isnan(apart), np.inf, apart)))
        raise ConflictError(
            f"ONNX Runtime scores row {worst} as {now[worst]:.7g}, here it is {served[worst]:.7g}: not exported",
            fix="report it with the model's file",
        )
    return float(np.abs(now - served).max())


def run(content: bytes, rows: NDArray[np.float32]) -> Floats:
    """Return the scores that ONNX Runtime gives; raises `EnvironmentFault` where it is not installed."""
    try:
        import onnxruntime
    except ImportError as error:
        raise EnvironmentFault("ONNX Runtime is not installed", fix=_EXTRA) from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    (scores,) = session.run([OUTPUT], {INPUT: rows})
    return np.asarray(scores, dtype=np.float64).ravel()


def _written(scorer: Scorer, told: dict[str, str]) -> bytes:
    """Return the model's bytes; nothing of a clock, a process or chance is in them."""
    try:
        from onnx import TensorProto, helper
    except ImportError as error:
        raise EnvironmentFault("onnx is not installed", fix=_EXTRA) from error
    link = LINKS[scorer.objective]
    after = "Sigmoid" if link is logistic else "Exp" if link is np.exp else "Identity"
    law = scorer.calibration
    numbers = [] if law is None else [("slope", law.at), ("offset", law.to)]
    nodes = [
        helper.make_node("TreeEnsembleRegressor", [INPUT], ["margin"], domain="ai.onnx.ml", **_ensemble(scorer.trees)),
        *([helper.make_node("Mul", ["margin", "slope"], ["turned"])] if numbers else []),
        *([helper.make_node("Add", ["turned", "offset"], ["calibrated"])] if numbers else []),
        helper.make_node(after, ["calibrated" if numbers else "margin"], [OUTPUT]),
    ]
    graph = helper.make_graph(
        nodes,
        "lineshaft",
        [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, ["rows", scorer.trees.width])],
        [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["rows", 1])],
        initializer=[helper.make_tensor(name, TensorProto.FLOAT, [1], values.tolist()) for name, values in numbers],
    )
    opsets = [helper.make_opsetid(domain, version) for domain, version in OPSETS.items()]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8, producer_name="lineshaft")
    helper.set_model_props(model, told)
    raw: bytes = model.SerializeToString(deterministic=True)
    return raw


def _ensemble(trees: Trees) -> dict[str, Any]:
    """Return the attributes of an ensemble: the nodes of each tree together, its root first."""
    own, leaf = np.arange(len(trees.left)), trees.leaf
    tree = np.zeros(len(own), dtype=np.int64)
    tree[: trees.roots] = np.arange(trees.roots)
    for node in own[~leaf].tolist():  # parents stand before their children
        tree[trees.left[node] : trees.left[node] + 2] = tree[node]
    order = np.argsort(tree, kind="stable")
    first = np.searchsorted(tree[order], np.arange(trees.roots))
    place = np.empty(len(own), dtype=np.int64)
    place[order] = own - first[tree[order]]
    below = np.where(leaf, 0, place[trees.left])
    right = np.where(leaf, 0, place[np.minimum(trees.left + 1, len(own) - 1)])
    ends = order[leaf[order]]
    return {
        "n_targets": 1,
        "base_values": [float(trees.base)],
        "nodes_treeids": tree[order].tolist(),
        "nodes_nodeids": place[order].tolist(),
        "nodes_featureids": (trees.column % trees.width)[order].tolist(),
        "nodes_modes": _words(leaf[order].tolist()),
        "nodes_values": np.where(leaf, 0, trees.threshold)[order].astype(float).tolist(),
        "nodes_truenodeids": below[order].tolist(),
        "nodes_falsenodeids": right[order].tolist(),
        "nodes_missing_value_tracks_true": (trees.column >= trees.width)[order].astype(int).tolist(),
        "target_treeids": tree[ends].tolist(),
        "target_nodeids": place[ends].tolist(),
        "target_ids": [0] * len(ends),
        "target_weights": trees.value[ends].astype(float).tolist(),
    }


def _words(leaf: Sequence[bool]) -> list[str]:
    return ["LEAF" if one else "BRANCH_LT" for one in leaf]
