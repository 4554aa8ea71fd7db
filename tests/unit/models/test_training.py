"""Training gives the same bytes for the same rows, and is judged on assets it never saw."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from lineshaft.errors import CorruptError, DefinitionError, InputError
from lineshaft.models.columns import numeric_features, service_features
from lineshaft.models.matrix import examples, feature_matrix, folds, held_out
from lineshaft.models.scoring import Scorer
from lineshaft.models.single import best_alone
from lineshaft.models.spec import ModelSpec
from lineshaft.models.training import train
from lineshaft.specs import OnDemandFeature, OnDemandView, Service, ServiceView

SPEC = ModelSpec(
    name="bearing_failure",
    task="binary",
    service="bearing_health",
    features=("vibration__rms", "vibration__kurtosis", "vibration__noise"),
    rounds=20,
)


def rows(*, assets: int = 20, each: int = 40, task: str = "binary") -> pa.Table:
    """Return training rows whose label follows rms, with a tenth of the values missing."""
    generator = np.random.default_rng(3)
    count = assets * each
    rms, kurtosis, noise = generator.normal(size=(3, count))
    label = (rms + 0.1 * kurtosis > 1).astype(np.float64) if task == "binary" else 50 + 10 * rms
    missing = generator.random(count) < 0.1
    return pa.table(
        {
            "asset_id": np.repeat([f"pump-{i:02d}" for i in range(assets)], each),
            "event_time": pa.array(np.tile(np.arange(each), assets) * 60_000_000).cast(pa.timestamp("us", tz="UTC")),
            "vibration__rms": pa.array(rms, mask=missing),
            "vibration__kurtosis": kurtosis,
            "vibration__noise": noise,
            "label": label,
        }
    )


def test_the_same_rows_in_any_order_give_the_same_bytes() -> None:
    """Rows shuffled before training change neither fingerprint nor artifact."""
    table = rows()
    shuffled = table.take(np.random.default_rng(5).permutation(table.num_rows))

    first, second = train(SPEC, table), train(SPEC, shuffled)

    assert first.training_set == second.training_set
    assert first.artifact == second.artifact
    assert dict(first.metrics) == dict(second.metrics)


def test_another_process_gives_the_same_bytes() -> None:
    """A retrain elsewhere on this machine, from the same rows, gives the same weights."""
    code = (
        "import hashlib, importlib.util, sys\n"
        "spec = importlib.util.spec_from_file_location('rows', sys.argv[1])\n"
        "module = importlib.util.module_from_spec(spec); spec.loader.exec_module(module)\n"
        "print(hashlib.sha256(module.train(module.SPEC, module.rows()).artifact).hexdigest())\n"
    )

    there = subprocess.run(
        [sys.executable, "-c", code, str(Path(__file__))], capture_output=True, text=True, check=True
    )

    assert there.stdout.strip() == hashlib.sha256(train(SPEC, rows()).artifact).hexdigest()


def test_one_changed_value_is_another_training_set() -> None:
    """The fingerprint covers every value."""
    table = rows()
    kurtosis = table["vibration__kurtosis"].to_numpy().copy()
    kurtosis[17] += 1e-3
    changed = table.set_column(3, "vibration__kurtosis", pa.array(kurtosis))

    assert examples(SPEC, table).fingerprint != examples(SPEC, changed).fingerprint


def test_no_asset_is_on_both_sides() -> None:
    """The split is by whole assets, whatever the seed."""
    groups = np.repeat([f"a{i}" for i in range(10)], 7)

    for seed in range(20):
        test = held_out(groups, share=0.3, seed=seed)
        assert set(groups[test]) & set(groups[~test]) == set()
        assert len(set(groups[test])) == 3


def test_one_asset_cannot_be_split() -> None:
    """With a single asset nothing could be judged, and that is said."""
    with pytest.raises(InputError, match="at least two groups"):
        train(SPEC, rows(assets=1))


@pytest.mark.parametrize(("task", "metric"), [("binary", "pr_auc"), ("regression", "rmse")])
def test_a_score_stands_beside_its_baseline(task: str, metric: str) -> None:
    """Figures name the metric, its interval, its baseline and the held-out counts; signal beats no features."""
    trained = train(replace(SPEC, task=task, rounds=60), rows(task=task))

    figures = trained.metrics
    better = 1 if task == "binary" else -1
    assert better * figures[metric] > better * figures[f"baseline_{metric}"]
    assert figures[f"{metric}_low"] <= figures[metric] <= figures[f"{metric}_high"]
    assert (figures["train_rows"], figures["test_rows"], figures["test_groups"]) == (560, 240, 6)


@pytest.mark.parametrize("task", ["binary", "regression"])
def test_contributions_add_up_to_the_score(task: str) -> None:
    """Base plus contributions is the margin of every score, missing inputs included."""
    table = rows(task=task)
    trained = train(replace(SPEC, task=task), table)
    scorer = Scorer.load(trained.artifact, features=trained.features)

    scored = scorer.score(feature_matrix(table, trained.features))

    margin = scored.base + scored.reasons.sum(axis=1)
    expected = 1 / (1 + np.exp(-margin)) if task == "binary" else margin
    np.testing.assert_allclose(scored.scores, expected, rtol=1e-5, atol=1e-5)
    assert scored.reasons.shape == (table.num_rows, 3)


def test_a_row_is_scored_alone_as_in_a_batch() -> None:
    """Scores do not depend on which rows are asked together."""
    table = rows()
    trained = train(SPEC, table)
    scorer = Scorer.load(trained.artifact, features=trained.features)
    values = feature_matrix(table, trained.features)[:50]

    alone = np.concatenate([scorer.score(values[i : i + 1]).scores for i in range(50)])

    assert np.array_equal(alone, scorer.score(values).scores)


def test_a_model_with_other_features_is_not_loaded() -> None:
    """A booster whose inputs are not the registered ones is refused, in whatever order they are."""
    trained = train(SPEC, rows())

    with pytest.raises(CorruptError, match="not those registered"):
        Scorer.load(trained.artifact, features=trained.features[::-1])
    with pytest.raises(CorruptError, match="no XGBoost model"):
        Scorer.load(b"{}", features=trained.features)


@pytest.mark.parametrize(
    ("label", "message"), [([2.0], "binary labels are 0 and 1"), ([0.0], "all 800 labels are equal")]
)
def test_labels_that_teach_nothing_are_refused(label: list[float], message: str) -> None:
    """Labels that are not binary, or all the same, are named as the fault."""
    table = rows()
    table = table.set_column(table.column_names.index("label"), "label", pa.array(label * table.num_rows))

    with pytest.raises(InputError, match=message):
        train(SPEC, table)


def test_what_xgboost_refuses_is_a_fault_of_the_declaration() -> None:
    """Labels that an objective cannot have, say: its own first line is told, and whose parameters they are."""
    with pytest.raises(DefinitionError, match=r"XGBoost refuses this: .*label") as refused:
        train(replace(SPEC, params={"objective": "reg:gamma"}), rows())
    assert refused.value.where == "params of 'bearing_failure'"
    assert "\n" not in refused.value.what


def test_rows_without_a_label_are_refused() -> None:
    """A null label is a decision the labelling has to make."""
    table = rows().set_column(5, "label", pa.nulls(800, pa.float64()))

    with pytest.raises(InputError, match="column 'label' holds nulls"):
        train(SPEC, table)


def test_a_model_reads_the_numbers_of_a_service() -> None:
    """Features are the service's columns in the answer's order; text such as a severity zone is left out."""
    zone = OnDemandFeature(name="zone", function="severity_zone", inputs=("v__a",), dtype="string")
    ratio = OnDemandFeature(name="ratio", function="ratio", inputs=("v__a", "v__b"))
    service = Service(
        name="s",
        views=(ServiceView(view="v", version="1", features=("a", "b")),),
        on_demand=(OnDemandView(name="o", features=(zone, ratio)),),
    )

    assert service_features(service) == ("v__a", "v__b", "o__zone", "o__ratio")
    assert numeric_features(service) == ("v__a", "v__b", "o__ratio")


def test_with_folds_every_asset_is_judged_and_every_asset_teaches() -> None:
    """All rows are judged, each by a model without its asset; the artifact is the one that all of them give."""
    table = rows(task="regression")
    spec = replace(SPEC, task="regression", folds=4)

    trained = train(spec, table)

    assert (trained.metrics["test_rows"], trained.metrics["test_groups"], trained.metrics["train_rows"]) == (
        800,
        20,
        800,
    )
    assert trained.params["folds"] == 4
    assert "test_share" not in trained.params
    assert (
        trained.artifact
        == train(replace(spec, folds=5), table).artifact
        != train(replace(spec, folds=0), table).artifact
    )


def test_a_fold_never_sees_the_asset_it_judges() -> None:
    """A feature that is the asset's own number tells its label by heart, and still it helps nobody out of fold."""
    table = rows(task="regression")
    name = table["asset_id"].to_pylist()
    secret = np.random.default_rng(8).normal(size=20)
    own = np.array([secret[int(asset[-2:])] for asset in name])
    shuffled = np.random.default_rng(9).permutation(20).astype(float)
    label = np.array([shuffled[int(asset[-2:])] for asset in name])
    known = table.set_column(table.column_names.index("vibration__noise"), "vibration__noise", pa.array(own))
    known = known.set_column(known.column_names.index("label"), "label", pa.array(label))

    trained = train(replace(SPEC, task="regression", folds=5, rounds=60, features=("vibration__noise",)), known)

    inside = Scorer.load(trained.artifact, features=trained.features).predict(own[:, None].astype(np.float32))
    assert np.sqrt(np.mean((inside - label) ** 2)) < 0.5 * trained.metrics["rmse"]
    assert trained.metrics["rmse"] > 0.8 * trained.metrics["baseline_rmse"]


def test_folds_are_of_whole_assets_and_of_one_size() -> None:
    """Whatever the seed; and more folds than assets are refused."""
    groups = np.repeat([f"a{i}" for i in range(10)], 7)

    for seed in range(20):
        fold = folds(groups, count=5, seed=seed)
        assert [len(set(groups[fold == k])) for k in range(5)] == [2] * 5
        assert len({(group, k) for group, k in zip(groups.tolist(), fold.tolist(), strict=True)}) == 10
    with pytest.raises(InputError, match="11 folds need 11 groups, there are 10"):
        folds(groups, count=11, seed=1)


def test_what_physics_forbids_is_not_learned() -> None:
    """Where more rms means less by declaration, the score never rises with it, though the data say it should."""
    table = rows(task="regression")
    steps = np.zeros((50, 3), dtype=np.float32)
    steps[:, 0] = np.linspace(-3, 3, 50)
    moved = {}
    told: dict[str, dict[str, Any]] = {sign: {sign: ("vibration__rms",)} for sign in ("rising", "falling")}
    for sign, physics in told.items():
        trained = train(replace(SPEC, task="regression", **physics), table)
        moved[sign] = np.diff(Scorer.load(trained.artifact, features=trained.features).predict(steps))

    assert (moved["falling"] <= 0).all()
    assert (moved["rising"] >= 0).all()
    assert moved["rising"].sum() > 5


def test_a_model_of_age_alone_stands_beside_the_score() -> None:
    """It is judged on the same rows by the same measure; without an age there is no such figure."""
    table = rows(task="regression")
    spec = replace(SPEC, task="rul", folds=4, rounds=40)

    figures = train(replace(spec, age="vibration__noise"), table).metrics

    assert figures["age_only_rmse"] > 1.2 * figures["rmse"]
    assert figures["half_width_90"] > figures["mae"]
    assert "age_only_rmse" not in train(spec, table).metrics


@pytest.mark.parametrize(("task", "metric"), [("binary", "pr_auc"), ("rul", "rmse")])
def test_the_best_feature_alone_stands_beside_the_score(task: str, metric: str) -> None:
    """It is far better than nothing, and all features are better than it where two of them matter."""
    table = rows(task="binary" if task == "binary" else "regression")
    both = table["vibration__kurtosis"].to_numpy()
    label = table["label"].to_numpy() + 20 * both if task == "rul" else (table["vibration__rms"].to_numpy() + both > 1)
    told = table.set_column(table.column_names.index("label"), "label", pa.array(label.astype(float)))

    figures = train(replace(SPEC, task=task, folds=4, rounds=60), told).metrics

    better = 1 if task == "binary" else -1
    assert better * figures[metric] > better * figures[f"one_feature_{metric}"] > better * figures[f"baseline_{metric}"]


def test_the_best_feature_is_the_one_that_ranks_labels_best_where_it_is_known() -> None:
    """Up or down, with holes and ties; lives cut short say nothing of it."""
    table = rows(task="regression")
    found = examples(replace(SPEC, task="regression"), table)
    down = replace(found, labels=-found.labels)
    cut = replace(found, labels=np.where(found.values[:, 2] > 0, -found.values[:, 2], 9 + found.values[:, 1]))

    assert best_alone(replace(SPEC, task="regression"), found) == "vibration__rms"
    assert best_alone(replace(SPEC, task="regression"), down) == "vibration__rms"
    assert best_alone(replace(SPEC, task="survival"), cut) == "vibration__kurtosis"


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"budget": -1.0}, "a budget of -1.0 alerts"),
        ({"budget": 5.0, "task": "rul"}, "is none of a rul model"),
        ({"folds": 1}, "1 folds judge nothing"),
        ({"age": "vibration__age"}, "'vibration__age' is none of the model's features"),
        ({"falling": ("rms",)}, "'rms' is none of the model's features"),
        ({"task": "ranking"}, "task 'ranking' is not known"),
    ],
)
def test_a_spec_that_could_not_be_judged_is_refused(changes: dict[str, Any], text: str) -> None:
    """Before any data is read."""
    with pytest.raises(InputError, match=text):
        replace(SPEC, **changes)
