"""An exported model scores as the served one, its bytes are the same each time, and what would not is refused."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import onnx
import pytest

from lineshaft.errors import ConflictError, CorruptError, InputError
from lineshaft.models import onnx_export
from lineshaft.models.detectors import fit
from lineshaft.models.onnx_export import compared, export, exportable, probes, run


def models_of_trees() -> ModuleType:
    """Return the models that the tests of trees train."""
    spec = importlib.util.spec_from_file_location("trees_of_tests", Path(__file__).with_name("test_trees.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


grown: Any = models_of_trees()


@pytest.mark.parametrize(
    ("objective", "params"),
    [
        *((objective, {}) for objective in grown.OBJECTIVES),
        ("reg:squarederror", {"grow_policy": "lossguide", "max_depth": 0, "max_leaves": 60}),
        ("reg:squarederror", {"tree_method": "exact", "gamma": 20.0}),
        ("binary:logistic", {"base_score": 0.037, "num_parallel_tree": 2}),
        ("reg:squarederror", {"min_child_weight": 1e9}),
    ],
)
def test_an_export_scores_as_the_served_model(objective: str, params: dict[str, Any]) -> None:
    """On thresholds and beside them, on holes, on ten thousand odd rows; also of censored lives, which end in exp."""
    scorer = grown.scorer(grown.booster(objective, **params))

    made = export(scorer, ref="m@1")

    assert made.largest_difference <= 1e-5 * max(1.0, float(np.abs(scorer.predict(probes(scorer))).max()))
    rows = grown.odd_rows(scorer, 10_000, 3)
    assert compared(made.content, scorer, rows) >= 0


def test_an_export_names_its_model_and_its_features() -> None:
    """The order of the inputs is part of the contract, and inputs have no names in ONNX."""
    scorer = grown.scorer(grown.booster(rounds=3))

    held = onnx.load_from_string(export(scorer, ref="wear@4", artifact_sha256="ab").content)

    onnx.checker.check_model(held)
    told = {one.key: one.value for one in held.metadata_props}
    assert json.loads(told["lineshaft.features"]) == list(grown.NAMES)
    assert (told["lineshaft.model"], told["lineshaft.artifact_sha256"]) == ("wear@4", "ab")


def test_another_process_exports_the_same_bytes() -> None:
    """Nothing of a clock, of chance or of the process is in the file."""
    raw = bytes(grown.booster(rounds=5).save_raw("ubj"))
    code = (
        "import hashlib, sys\n"
        "from lineshaft.models.onnx_export import export\n"
        "from lineshaft.models.scoring import Scorer\n"
        "made = export(Scorer.load(sys.stdin.buffer.read(), features=sys.argv[1:]), ref='m@1')\n"
        "print(hashlib.sha256(made.content).hexdigest())\n"
    )

    there = subprocess.run([sys.executable, "-c", code, *grown.NAMES], input=raw, capture_output=True, check=True)

    here = export(grown.scorer(grown.booster(rounds=5)), ref="m@1").content
    assert there.stdout.decode().strip() == hashlib.sha256(here).hexdigest()


@pytest.mark.parametrize(
    ("model", "text"),
    [
        (grown.several, "more than one score"),
        (grown.two_targets, "more than one score"),
        (grown.categorical, "feature_types"),
        (grown.stopped_early, "after its best iteration, 7, to 11"),
    ],
)
def test_what_would_be_exported_wrongly_is_refused(model: Any, text: str) -> None:
    """Several outputs, categories, and trees beyond the best iteration, which other exporters write without a word."""
    with pytest.raises(CorruptError, match=text):
        export(grown.scorer(model()), ref="m@1")
    assert export(grown.scorer(grown.stopped_early()[:8]), ref="m@1").content


def test_a_detector_is_not_exported() -> None:
    """It is no sum of trees."""
    rows = np.random.default_rng(0).normal(size=(50, 2)).astype(np.float32)

    with pytest.raises(InputError, match="a detector is not exported"):
        exportable(fit("distance", rows, ("a", "b"), seed=1, trees=2))


def test_an_export_that_scores_otherwise_is_not_handed_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaves that moved by a hundredth are found, and so is a missing value sent the other way."""
    scorer = grown.scorer(grown.booster(rounds=4))
    right = onnx_export._ensemble  # noqa: SLF001 - to be spoilt
    first = scorer.trees.column[0]

    def moved(trees: Any) -> dict[str, Any]:
        told = right(trees)
        return {**told, "target_weights": [weight + 1e-2 for weight in told["target_weights"]]}

    def turned(trees: Any) -> dict[str, Any]:
        other = (first + trees.width) % (2 * trees.width)
        return right(replace(trees, column=np.where(np.arange(len(trees.column)) == 0, other, trees.column)))

    for wrong in (moved, turned):
        monkeypatch.setattr(onnx_export, "_ensemble", wrong)
        with pytest.raises(ConflictError, match="ONNX Runtime scores row"):
            export(scorer, ref="m@1")
    monkeypatch.setattr(onnx_export, "_ensemble", right)
    assert run(export(scorer, ref="m@1").content, probes(scorer)).shape == (500,)
