"""Parameters are looked for among the rows learned from alone, the same way each time, and what was tried is kept."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from lineshaft.errors import CorruptError, InputError
from lineshaft.models.alarms import AlarmRule
from lineshaft.models.fitting import judge_of, unseen
from lineshaft.models.matrix import Examples, examples
from lineshaft.models.scores import rmse
from lineshaft.models.search import Choice, Range
from lineshaft.models.spec import ModelSpec
from lineshaft.models.splits import judged_together
from lineshaft.models.training import fit, train
from lineshaft.models.tuning import Search, Tuning, search

HOUR_US = 3_600_000_000
SPEC = ModelSpec(
    name="wear",
    task="rul",
    service="health",
    features=("heat", "load"),
    rounds=10,
    tune={
        "max_depth": Range(low=1, high=6),
        "eta": Range(low=0.01, high=0.5, log=True),
        "rounds": Range(low=5, high=60, log=True),
        "max_bin": Choice(among=(16, 256)),
    },
)


def rows(*, assets: int = 12, each: int = 20, seed: int = 3) -> pa.Table:
    """Return lives that end: heat says how much is left."""
    generator = np.random.default_rng(seed)
    left = np.tile(np.arange(each, 0.0, -1), assets)
    return pa.table(
        {
            "asset_id": np.repeat([f"pump-{i:02d}" for i in range(assets)], each),
            "event_time": pa.array(np.tile(np.arange(each), assets) * HOUR_US).cast(pa.timestamp("us", tz="UTC")),
            "heat": 1 / left + 0.05 * generator.normal(size=len(left)),
            "load": generator.normal(size=len(left)),
            "label": left,
        }
    )


def looked(spec: ModelSpec, table: pa.Table, *, trials: int = 6) -> tuple[Search, list[ModelSpec]]:
    """Look for parameters."""
    learned = examples(spec, table)
    return search(spec, learned, judged_together(spec, learned), Tuning(trials=trials))


def test_the_same_command_finds_the_same_in_another_process() -> None:
    """Parameters, scores and bytes; the number of threads of the process changes nothing."""
    code = (
        "import importlib.util, sys\n"
        "spec = importlib.util.spec_from_file_location('rows', sys.argv[1])\n"
        "module = importlib.util.module_from_spec(spec); spec.loader.exec_module(module)\n"
        "made = module.train(module.SPEC, module.rows(), tuning=module.Tuning(trials=6))\n"
        "print(made.search.content.hex(), made.artifact.hex())\n"
    )
    environment = {**os.environ, "OMP_NUM_THREADS": "2"}  # noqa: TID251 - the child's own

    there = subprocess.run(
        [sys.executable, "-c", code, str(Path(__file__))],
        capture_output=True,
        text=True,
        check=True,
        env=environment,
    )

    made = train(SPEC, rows(), tuning=Tuning(trials=6))
    assert made.search is not None
    assert there.stdout.split() == [made.search.content.hex(), made.artifact.hex()]


def test_what_is_held_out_is_never_looked_at() -> None:
    """Whatever stands in the rows that judge, features and labels alike, the search is the same to the byte."""
    table = rows()
    learned = examples(SPEC, table)
    (part,) = judged_together(SPEC, learned)
    assert part.judged.any()
    wild = replace(
        learned,
        values=np.where(part.judged[:, None], np.float32(9e9), learned.values),
        labels=np.where(part.judged, -1e6, learned.labels),
    )

    found, again = (search(SPEC, some, [part], Tuning(trials=4))[0] for some in (learned, wild))

    assert found.content == again.content
    other: Examples = replace(learned, labels=learned.labels[::-1].copy())
    assert search(SPEC, other, [part], Tuning(trials=4))[0].content != found.content


def test_each_judge_has_its_own_search_and_the_artifact_another() -> None:
    """With folds, nobody's parameters were found on rows that it judges: one study a fold, one of all rows."""
    spec = replace(SPEC, folds=3)
    found, judges = looked(spec, rows())

    assert [study.groups for study in found.judges] == [8, 8, 8]
    assert (found.own.groups, len(judges)) == (12, 3)
    assert [judge.params["eta"] for judge in judges] == [study.found["eta"] for study in found.judges]
    alone, _ = looked(SPEC, rows())
    assert (alone.judges, alone.own.groups) == ((), 8)


def test_a_search_by_time_keeps_to_the_past_and_its_embargo() -> None:
    """Inside the past that is learned from, judges walk forward again, and labels that reach into them are left out."""
    spec = replace(SPEC, split="time", reach_us=HOUR_US, embargo_us=HOUR_US)
    learned = examples(spec, rows())
    (part,) = judged_together(spec, learned)

    found, _ = search(spec, learned, [part], Tuning(trials=2))

    assert found.split == {"by": "time", "embargo_us": HOUR_US, "reach_us": HOUR_US}
    assert found.own.rows == int(part.learned.sum())
    past = learned.take(part.learned)
    inner = judged_together(replace(spec, folds=3), past)
    first = [judge_of(spec, past, one, features=spec.features) for one in inner]
    scores = unseen(spec, first, past, inner)
    judged = np.isfinite(scores)
    assert found.own.trials[0].score == rmse(past.labels[judged], scores[judged])
    later = replace(learned, labels=np.where(part.learned, learned.labels, 1e9))
    assert search(spec, later, [part], Tuning(trials=2))[0].own == found.own


def test_the_declaration_is_the_first_trial_and_a_search_is_never_worse() -> None:
    """Among the rows searched on; what is found lies within its range, in few digits."""
    found, _ = looked(replace(SPEC, params={"max_bin": 16}), rows(), trials=8)
    first, own = found.own.trials[0], found.own

    assert dict(first.params) == {"eta": 0.05, "max_bin": 16, "max_depth": 5, "rounds": 10}
    assert len(own.trials) == 9
    assert own.trials[own.best].score == min(one.score for one in own.trials) < first.score
    for trial in own.trials[1:]:
        assert all(one.holds(trial.params[name]) for name, one in SPEC.tune.items())
        assert float(f"{trial.params['eta']:.4g}") == trial.params["eta"]
    assert json.loads(found.content)["space"]["eta"] == [0.01, 0.5, "log"]


def test_a_declaration_outside_its_space_may_still_win() -> None:
    """It is tried, and the sampler, which could not place it, is not told."""
    spec = replace(SPEC, rounds=80, params={"eta": 0.2, "max_depth": 3}, tune={"rounds": Range(low=1, high=2)})

    found, judges = looked(spec, rows(), trials=2)

    assert (found.own.best, found.own.found) == (0, {"rounds": 80})
    assert found.applied(spec).rounds == judges[0].rounds == 80


def test_a_tuned_model_stands_beside_what_it_was_declared_as() -> None:
    """The figure of the declaration on the same rows, and the baselines, which no search touches."""
    made, plain = train(SPEC, rows(), tuning=Tuning(trials=8)), train(SPEC, rows())

    assert made.metrics["untuned_rmse"] == plain.metrics["rmse"]
    for name in ("baseline_rmse", "one_feature_rmse"):
        assert made.metrics[name] == plain.metrics[name]
    assert made.metrics["rmse"] < plain.metrics["rmse"]
    assert "untuned_rmse" not in plain.metrics
    assert made.search is not None
    assert made.params["study"] == made.search.sha256
    assert made.params["rounds"] == made.search.own.found["rounds"]


def test_what_was_found_trains_again_without_a_search() -> None:
    """The kept search, read back, turns the declaration into the spec that the artifact was fitted by."""
    made = train(SPEC, rows(), tuning=Tuning(trials=4))
    assert made.search is not None

    kept = Search.of(made.search.content)

    assert kept == made.search
    again = fit(kept.applied(SPEC), examples(SPEC, rows()))
    assert (again.artifact, again.params) == (made.artifact, made.params)


@pytest.mark.parametrize("content", [b"{", b"[]", b"{}", b'{"own": {}, "judges": []}'])
def test_what_is_no_search_is_not_taken_for_one(content: bytes) -> None:
    """Named, and no traceback."""
    with pytest.raises(CorruptError, match="is none"):
        Search.of(content)


def test_progress_is_told_trial_by_trial() -> None:
    """Whose, which, and how good so far."""
    told: list[str] = []

    train(SPEC, rows(), tuning=Tuning(trials=2, tell=told.append))

    assert [line.partition(",")[0] for line in told] == [
        f"tuning the model of wear: trial {number} of 2" for number in range(3)
    ]
    assert "best rmse" in told[-1]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"task": "binary"}, "nothing that a pr_auc could be told by"),
        (
            {"task": "anomaly", "detector": "distance", "tune": {}, "alert": AlarmRule(threshold=6)},
            "a detector learns from healthy rows alone",
        ),
    ],
)
def test_a_search_that_nothing_could_decide_is_refused(changes: dict[str, Any], message: str) -> None:
    """No failure among the rows learned from; healthy rows alone."""
    spec = replace(SPEC, **changes)
    known = examples(spec, rows())
    (part,) = judged_together(spec, known)
    learned = replace(known, labels=np.where(part.learned, 0.0, 1.0))

    with pytest.raises(InputError, match=message):
        search(spec, learned, [part], Tuning(trials=1))
