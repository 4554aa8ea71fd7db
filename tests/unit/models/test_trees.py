"""Trees walked with NumPy give XGBoost's own bits and its own reasons; what is no tree, or none of ours, is refused."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import xgboost
from numpy.typing import NDArray

from lineshaft.errors import CorruptError
from lineshaft.models.golden import ATTRIBUTE, Golden, golden_rows
from lineshaft.models.scoring import LINKS, Scorer

WIDTH = 12
NAMES = tuple(f"v__f{i}" for i in range(WIDTH))
OBJECTIVES = ("reg:squarederror", "binary:logistic", "count:poisson", "survival:aft", "reg:absoluteerror")


def inputs(rows: int, seed: int) -> NDArray[np.float32]:
    """Return random rows with a tenth of the values missing."""
    generator = np.random.default_rng(seed)
    values = generator.normal(size=(rows, WIDTH)).astype(np.float32)
    values[generator.random(values.shape) < 0.1] = np.nan
    return values


def booster(objective: str = "reg:squarederror", *, seed: int = 0, rounds: int = 40, **params: Any) -> xgboost.Booster:
    """Return a model of random rows."""
    values = inputs(800, seed)
    known = np.nan_to_num(values)
    signal = known[:, 0] + known[:, 1] * known[:, 2] + 0.1 * known[:, 3]
    labels = {"reg:squarederror": 50 + 10 * signal, "binary:logistic": signal > 0.7, "reg:absoluteerror": signal}
    label = np.asarray(labels.get(objective, np.exp(signal)), dtype=np.float64)
    data = xgboost.DMatrix(values, label=label, feature_names=list(NAMES), nthread=1)
    if objective == "survival:aft":
        data.set_float_info("label_lower_bound", label)
        data.set_float_info("label_upper_bound", np.where(signal > 0, np.inf, label))
    told = {"objective": objective, "max_depth": 5, "subsample": 0.8, "seed": seed, "nthread": 1, **params}
    return xgboost.train(told, data, rounds)


def scorer(model: xgboost.Booster, kind: str = "ubj") -> Scorer:
    """Return a model as it is served."""
    return Scorer.load(bytes(model.save_raw(kind)), features=NAMES)


def odd_rows(model: Scorer, count: int, seed: int) -> NDArray[np.float32]:
    """Return rows full of what comparisons stumble over: thresholds, their neighbours, -0.0, huge values, nothing."""
    generator = np.random.default_rng(seed)
    values = 2 * inputs(count, seed + 1)
    bounds = model.trees.threshold[~model.trees.leaf]
    up, down = (np.nextafter(bounds, np.float32(end)) for end in (np.inf, -np.inf))
    oddities = np.concatenate([np.zeros(1, np.float32), bounds, bounds, bounds, up, down])
    some = generator.random(values.shape) < 0.4
    values[some] = generator.choice(oddities, some.sum())
    few = generator.random(values.shape) < 0.1
    values[few] = generator.choice(np.array([0.0, -0.0, 3e38, -3e38, 1e-45, np.nan], np.float32), few.sum())
    values[0] = np.nan
    return values


def theirs(model: xgboost.Booster, values: NDArray[np.float32], **how: Any) -> NDArray[np.float32]:
    """Return what XGBoost itself says."""
    rows = xgboost.DMatrix(values, feature_names=list(NAMES), nthread=1)
    return np.asarray(model.predict(rows, **how))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_sums_are_xgboosts_to_the_bit(objective: str, seed: int) -> None:
    """Ten thousand rows a model, with values at thresholds, missing, negative zero and huge; scores within 1 ulp."""
    model = booster(objective, seed=seed, base_score=None if seed else 0.037, max_depth=3 + 2 * seed)
    served = scorer(model)
    values = odd_rows(served, 10_000, seed)

    sums = served.trees.margins(values)

    assert sums.tobytes() == theirs(model, values, output_margin=True).tobytes()
    scores = theirs(model, values)
    np.testing.assert_allclose(served.predict(values), scores, rtol=2.4e-7, atol=1e-37)
    if LINKS[objective] is LINKS["reg:squarederror"]:
        assert served.predict(values).astype(np.float32).tobytes() == scores.tobytes()


@pytest.mark.parametrize(
    "params",
    [
        {"grow_policy": "lossguide", "max_depth": 0, "max_leaves": 60},
        {"tree_method": "exact", "gamma": 20.0},
        {"tree_method": "approx", "num_parallel_tree": 3, "colsample_bynode": 0.3},
        {"max_depth": 1, "monotone_constraints": "(" + ",".join(["1"] * WIDTH) + ")"},
        {"min_child_weight": 1e9},
    ],
    ids=["lopsided", "pruned", "forest", "stumps", "leaves only"],
)
def test_trees_of_other_shapes_are_walked_as_well(params: dict[str, Any]) -> None:
    """Deep on one side, with nodes taken out again, several a round, of one split, and of none."""
    model = booster(**params)
    served = scorer(model)
    values = odd_rows(served, 500, 5)

    assert served.trees.margins(values).tobytes() == theirs(model, values, output_margin=True).tobytes()
    reasons = served.score(values[:50]).reasons
    np.testing.assert_allclose(reasons, theirs(model, values[:50], pred_contribs=True)[:, :-1], atol=2e-4)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_reasons_are_xgboosts(objective: str) -> None:
    """Exact Shapley values, of rows alone and together, as XGBoost computes them in float32; they add up to the sum."""
    model = booster(objective, rounds=60)
    served = scorer(model)
    values = odd_rows(served, 300, 9)

    found = served.score(values)

    expected = theirs(model, values, pred_contribs=True)
    size = np.abs(expected).max()
    np.testing.assert_allclose(found.reasons, expected[:, :-1], atol=2e-5 * size)
    np.testing.assert_allclose(found.base, expected[0, -1], rtol=1e-5, atol=1e-6)
    total = found.base + found.reasons.sum(axis=1)
    np.testing.assert_allclose(total, served.trees.margins(values), atol=1e-5 * size)
    alone = np.concatenate([served.score(values[i : i + 1]).reasons for i in range(20)])
    np.testing.assert_allclose(alone, found.reasons[:20], atol=1e-12)


def test_a_row_is_scored_alone_as_among_thousands() -> None:
    """Rows are scored in chunks; where one ends changes nothing."""
    served = scorer(booster(rounds=10))
    values = inputs(9_000, 3)

    together = served.predict(values)

    assert np.array_equal(
        together[8_990:], np.concatenate([served.predict(values[i : i + 1]) for i in range(8990, 9000)])
    )
    assert served.predict(values[:0]).shape == (0,)


def test_json_and_ubjson_are_one_model() -> None:
    """Both of XGBoost's formats give the same bits, and are read as its own reader reads them."""
    model = booster("binary:logistic")
    values = inputs(500, 4)

    assert np.array_equal(scorer(model, "json").predict(values), scorer(model).predict(values))


def content(model: xgboost.Booster) -> Any:
    """Return a model's JSON to be spoilt."""
    return json.loads(bytes(model.save_raw("json")))


def spoilt(content: Any, tree: dict[str, Any]) -> bytes:
    """Return a model with parts of its first tree replaced."""
    content["learner"]["gradient_booster"]["model"]["trees"][0].update(tree)
    return json.dumps(content).encode()


def test_a_split_below_which_nothing_lies_is_refused() -> None:
    """A missing value is sent by a comparison; at minus infinity it could only go one way."""
    raw = bytes(booster(rounds=1).save_raw("ubj"))
    at = raw.index(b"split_conditions[$d#L") + len(b"split_conditions[$d#L") + 8

    with pytest.raises(CorruptError, match="minus infinity"):
        Scorer.load(raw[:at] + np.array(-np.inf, ">f4").tobytes() + raw[at + 4 :], features=NAMES)


def several() -> xgboost.Booster:
    """Return a model of three classes."""
    data = xgboost.DMatrix(inputs(90, 1), label=np.arange(90) % 3, feature_names=list(NAMES))
    return xgboost.train({"objective": "multi:softprob", "num_class": 3, "nthread": 1}, data, 2)


def categorical() -> xgboost.Booster:
    """Return a model that splits on a category."""
    values = inputs(300, 1)
    values[:, 0] = np.arange(300) % 5
    data = xgboost.DMatrix(
        values,
        label=(np.arange(300) % 5 == 2).astype(float),
        feature_names=list(NAMES),
        feature_types=["c", *["q"] * (WIDTH - 1)],
        enable_categorical=True,
    )
    return xgboost.train({"nthread": 1, "max_cat_to_onehot": 1}, data, 2)


def two_targets() -> xgboost.Booster:
    """Return a model with two outputs."""
    data = xgboost.DMatrix(inputs(90, 1), label=inputs(90, 2)[:, :2] > 0, feature_names=list(NAMES))
    return xgboost.train({"nthread": 1, "multi_strategy": "multi_output_tree"}, data, 2)


def stopped_early() -> xgboost.Booster:
    """Return a model that was trained beyond its best iteration."""
    model = booster(rounds=12)
    model.set_attr(best_iteration="7")
    return model


@pytest.mark.parametrize(
    ("model", "text"),
    [
        (several, "more than one score"),
        (two_targets, "more than one score"),
        (categorical, "feature_types are not one number"),
        (lambda: booster(booster="dart", rate_drop=0.5), "'dart' is not taken"),
        (lambda: booster("reg:quantileerror", quantile_alpha=0.5), "objective 'reg:quantileerror'"),
        (stopped_early, "after its best iteration, 7, to 11"),
    ],
)
def test_a_model_of_another_kind_is_refused(model: Any, text: str) -> None:
    """What one sum over leaves does not score is said to be that, not scored wrongly."""
    with pytest.raises(CorruptError, match=text):
        scorer(model())


def test_a_model_cut_at_its_best_iteration_is_served() -> None:
    """The remedy that the refusal names works."""
    cut = stopped_early()[:8]
    values = inputs(50, 6)

    assert np.array_equal(scorer(cut).predict(values).astype(np.float32), theirs(cut, values))


def test_golden_rows_prove_a_model_when_it_is_loaded() -> None:
    """A file whose leaf was changed, or whose golden rows were, is refused; whole, it is taken."""
    model = booster()
    rows = golden_rows(inputs(100, 2))
    scores = theirs(model, rows)
    model.set_attr(**{ATTRIBUTE: Golden(rows=rows, scores=scores).text()})

    assert scorer(model).golden is not None
    changed = content(model)
    bounds = changed["learner"]["gradient_booster"]["model"]["trees"][0]["split_conditions"]
    with pytest.raises(CorruptError, match="golden row"):
        Scorer.load(spoilt(changed, {"split_conditions": [*bounds[:-1], bounds[-1] + 0.5]}), features=NAMES)
    model.set_attr(**{ATTRIBUTE: Golden(rows=rows, scores=np.full_like(scores, np.nan)).text()})
    with pytest.raises(CorruptError, match="golden row 0"):
        scorer(model)
    model.set_attr(**{ATTRIBUTE: '{"rows": "!", "scores": ""}'})
    with pytest.raises(CorruptError, match="golden rows"):
        scorer(model)


def test_every_damage_to_a_file_is_refused_or_harmless() -> None:
    """A thousand flipped bytes and cuts: each is refused with a reason, or leaves a model that still gives numbers."""
    model = booster(rounds=3)
    model.set_attr(**{ATTRIBUTE: Golden(rows=inputs(20, 1), scores=theirs(model, inputs(20, 1))).text()})
    raw, generator, refused = bytes(model.save_raw("ubj")), np.random.default_rng(0), 0
    for _ in range(1000):
        damaged = bytearray(raw)
        if generator.random() < 0.2:
            damaged = damaged[: generator.integers(0, len(raw))]
        else:
            damaged[generator.integers(0, len(raw))] ^= 1 << generator.integers(0, 8)
        try:
            served = Scorer.load(bytes(damaged), features=NAMES)
        except CorruptError:
            refused += 1
        else:
            assert served.predict(inputs(20, 1)).shape == (20,)

    assert 300 < refused < 1000
