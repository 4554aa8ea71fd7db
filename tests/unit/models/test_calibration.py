"""A calibrated probability keeps its word on assets nobody learned from, and nothing else about the model changes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from lineshaft.errors import CorruptError, InputError
from lineshaft.models.calibration import ATTRIBUTE, Calibration, fit_calibration, logistic
from lineshaft.models.matrix import feature_matrix
from lineshaft.models.onnx_export import compared, export, probes
from lineshaft.models.scoring import Scorer
from lineshaft.models.spec import ModelSpec
from lineshaft.models.training import train

SPEC = ModelSpec(
    name="wear",
    task="binary",
    service="pumps",
    features=("v__a", "v__b"),
    rounds=60,
    folds=4,
    params={"scale_pos_weight": 20},  # what it says of rare failures is far too much
)


def rows(*, assets: int = 40, each: int = 60) -> pa.Table:
    """Return rows of which few are positive, and more where `a` is high."""
    dice = np.random.default_rng(11)
    count = assets * each
    a, b = dice.normal(size=(2, count))
    label = dice.random(count) < 1 / (1 + np.exp(3 - 1.5 * a))
    times = pa.array(np.tile(np.arange(each), assets) * 60_000_000).cast(pa.timestamp("us", tz="UTC"))
    names = np.repeat([f"pump-{i:02d}" for i in range(assets)], each)
    return pa.table({"asset_id": names, "event_time": times, "v__a": a, "v__b": b, "label": label.astype(float)})


@pytest.mark.parametrize("kind", ["platt", "isotonic"])
def test_a_calibrated_model_says_what_comes_of_assets_it_never_saw(kind: str) -> None:
    """Its error before and after stand in the figures, the order hardly changes, and both are of assets held out."""
    table = rows()

    plain, told = train(SPEC, table).metrics, train(replace(SPEC, calibrate=kind), table).metrics

    assert told["ece_uncalibrated"] == plain["ece"] > 0.1
    assert told["ece"] < 0.03
    assert told["pr_auc"] == pytest.approx(plain["pr_auc"], abs=0.03)
    assert "ece_uncalibrated" not in plain


def test_only_the_last_step_of_a_score_is_another() -> None:
    """Trees and reasons are those of the model that is not calibrated; only it says so in its parameters."""
    table = rows(assets=20)
    plain, told = train(SPEC, table), train(replace(SPEC, calibrate="platt"), table)
    before, after = (Scorer.load(one.artifact, features=one.features) for one in (plain, told))
    values = feature_matrix(table, SPEC.features)

    was, now = before.score(values), after.score(values)

    assert after.calibration is not None
    assert np.array_equal(was.reasons, now.reasons)
    assert np.array_equal(before.trees.margins(values), after.trees.margins(values))
    margins = before.trees.margins(values).astype(np.float64)
    expected = logistic(after.calibration.at[0] * margins + after.calibration.to[0])
    np.testing.assert_allclose(now.scores, expected, rtol=1e-6)
    assert now.scores.mean() < 0.5 * was.scores.mean()
    assert told.params["calibrate"] == "platt"
    assert "calibrate" not in plain.params


def test_the_artifact_is_the_same_bytes_in_whatever_order_rows_come() -> None:
    """The law is fitted by the same sums each time."""
    table = rows(assets=12)
    shuffled = table.take(np.random.default_rng(5).permutation(table.num_rows))
    spec = replace(SPEC, calibrate="isotonic", rounds=20)

    assert train(spec, table).artifact == train(spec, shuffled).artifact


def test_a_judged_asset_taught_neither_trees_nor_law() -> None:
    """Labels of the held-out assets may be anything: the artifact that is judged on them stays the same."""
    table = rows(assets=12)
    spec = replace(SPEC, calibrate="isotonic", folds=0, rounds=20)
    first = train(spec, table)
    held = set(first.unseen.assets)
    label = np.where(np.isin(table["asset_id"].to_pylist(), list(held)), 1.0, table["label"].to_numpy())

    second = train(spec, table.set_column(table.column_names.index("label"), "label", pa.array(label)))

    assert held
    assert first.artifact == second.artifact
    assert first.metrics["ece"] != second.metrics["ece"]


def test_trees_that_know_their_rows_by_heart_are_calibrated_on_others() -> None:
    """They part the rows they learned from almost entirely, so a law fitted to those would believe every word."""
    by_heart = {"max_depth": 12, "min_child_weight": 0, "eta": 0.5, "subsample": 1}

    told = train(replace(SPEC, calibrate="platt", rounds=30, params=by_heart), rows(assets=20)).metrics

    assert told["ece_uncalibrated"] > 0.06
    assert told["ece"] < 0.6 * told["ece_uncalibrated"]


def test_a_logistic_law_is_found_again() -> None:
    """From labels thrown by a known law, slope and offset come out near it; a law that would fall says the mean."""
    dice = np.random.default_rng(1)
    margins = dice.normal(size=20_000) * 2
    labels = (dice.random(20_000) < logistic(0.5 * margins - 1)).astype(float)

    law = fit_calibration("platt", margins, labels)
    turned = fit_calibration("platt", -margins, labels)

    assert (law.at[0], law.to[0]) == (pytest.approx(0.5, abs=0.03), pytest.approx(-1, abs=0.05))
    assert turned.at[0] == 0
    assert turned.apply(np.array([-9.0, 9.0])) == pytest.approx(labels.mean(), abs=1e-3)


def test_sums_that_part_the_labels_entirely_still_give_a_law() -> None:
    """No slope is infinite, and no probability falls."""
    margins, labels = np.linspace(-5, 5, 40), np.repeat([0.0, 1.0], 20)

    for kind in ("platt", "isotonic"):
        said = fit_calibration(kind, margins, labels).apply(np.linspace(-50, 50, 999))
        assert (np.diff(said) >= 0).all()
        assert 0 <= said[0] < 0.1
        assert 0.9 < said[-1] <= 1


@pytest.mark.parametrize(
    "text",
    [
        "7",
        "[" * 100_000,
        '{"kind": "platt", "at": [1], "to": []}',
        '{"kind": "platt", "at": [-1.0], "to": [0.0]}',
        '{"kind": "platt", "at": [NaN], "to": [0.0]}',
        '{"kind": "isotonic", "at": [0, 1], "to": [0.5, 0.4]}',
        '{"kind": "isotonic", "at": [1, 0], "to": [0.4, 0.5]}',
        '{"kind": "isotonic", "at": [0, 1], "to": [0.4, 1.5]}',
        '{"kind": "magic", "at": [0], "to": [0.5]}',
    ],
)
def test_a_law_that_is_none_is_refused(text: str) -> None:
    """It is read from a file that anybody may have written."""
    with pytest.raises(CorruptError, match="calibration"):
        Calibration.of({ATTRIBUTE: text})


def test_a_law_changed_after_training_fails_on_the_golden_rows() -> None:
    """The scores that were stored are the calibrated ones."""
    trained = train(replace(SPEC, calibrate="platt", rounds=10), rows(assets=12))
    whole = Scorer.load(trained.artifact, features=trained.features)
    assert whole.golden is not None
    assert whole.calibration is not None
    other = replace(whole.calibration, to=whole.calibration.to + 0.01)

    whole.golden.check(whole.predict)
    with pytest.raises(CorruptError, match="golden row"):
        whole.golden.check(replace(whole, calibration=other).predict)


def test_a_logistic_law_is_exported_and_an_isotonic_one_refused() -> None:
    """ONNX Runtime gives the calibrated probability, or nobody gets a file."""
    table = rows(assets=12)
    platt, isotonic = (
        Scorer.load(train(replace(SPEC, calibrate=kind, rounds=20), table).artifact, features=SPEC.features)
        for kind in ("platt", "isotonic")
    )

    made = export(platt, ref="wear@1")

    assert compared(made.content, platt, probes(platt)) < 1e-5
    with pytest.raises(InputError, match=r"wear@2 is calibrated by an isotonic law"):
        export(isotonic, ref="wear@2")


def test_only_probabilities_are_calibrated() -> None:
    """A life is no probability, an unknown law is none, and one asset teaches no law."""
    with pytest.raises(InputError, match="gives no probability to calibrate"):
        replace(SPEC, task="rul", calibrate="platt")
    with pytest.raises(InputError, match="calibrate: beta is not known"):
        replace(SPEC, calibrate="beta")
    with pytest.raises(InputError, match="at least two groups"):
        train(replace(SPEC, calibrate="platt", folds=0, test_share=0.5), rows(assets=2))
