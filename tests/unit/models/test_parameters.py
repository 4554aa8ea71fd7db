"""A parameter that nobody reads, or that cannot be, is refused before a row is read, with what was meant."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import xgboost

from lineshaft.errors import InputError
from lineshaft.models.parameters import DETECTORS, SURVIVAL, TREES, UNSAID, Bounds, Words, check_params, known_to
from lineshaft.models.search import Choice, Range, check_space, read_space, usual
from lineshaft.models.spec import ModelSpec

SPEC: dict[str, Any] = {"name": "wear", "task": "binary", "service": "s", "features": ("a",)}


@pytest.mark.parametrize(
    ("params", "what", "fix"),
    [
        ({"max_dept": 4}, "max_dept is read by nobody", "did you mean max_depth?"),
        ({"Max_Depth": 4}, "Max_Depth is read by nobody", "did you mean max_depth?"),
        ({"colsample": 0.5}, "colsample is read by nobody", "did you mean colsample_by"),
        ({"learning_rate": 0.1}, "learning_rate is read by nobody", "write eta"),
        ({"learnin_rate": 0.1}, "learnin_rate is read by nobody", "write eta"),
        ({"n_estimators": 100}, "n_estimators is read by nobody", "write `rounds: 200` beside `params`"),
        ({"random_state": 1}, "random_state is read by nobody", "write `seed: 7` beside `params`"),
        ({"nthread": 2}, "nthread is read by nobody", "changes no bit"),
        ({"monotone_constraints": "(1)"}, "monotone_constraints is read by nobody", "`rising` and `falling`"),
        ({"aft_loss_distribution": "normal"}, "aft_loss_distribution is read by nobody", "belongs to a survival model"),
        ({"zzz": 1}, "zzz is read by nobody", "known: alpha, base_score"),
        ({"max_depth": 0}, "max_depth is 0, not a whole number from 1 to 128", "or drop it"),
        ({"max_depth": 400}, "max_depth is 400, not a whole number from 1 to 128", "or drop it"),
        ({"max_depth": 4.5}, "max_depth is 4.5, not a whole number", "or drop it"),
        ({"max_depth": True}, "max_depth is True, not a whole number", "or drop it"),
        ({"max_depth": "deep"}, "max_depth is 'deep', not a whole number", "or drop it"),
        ({"subsample": 0}, "subsample is 0, not a number above 0, at most 1", "or drop it"),
        ({"eta": 1.5}, "eta is 1.5, not a number above 0, at most 1", "or drop it"),
        ({"lambda": -1}, "lambda is -1, not a number from 0", "or drop it"),
        ({"gamma": float("nan")}, "gamma is nan, not a number", "or drop it"),
        ({"tree_method": "gpu_hist"}, "tree_method is 'gpu_hist', not one of hist, approx, exact", "or drop it"),
        ({"booster": "dart"}, "booster is 'dart', not one of gbtree", "or drop it"),
        ({"objective": "multi:softprob"}, "objective is 'multi:softprob', not one of binary:logistic", "or drop it"),
    ],
)
def test_a_parameter_that_is_none_is_refused_with_what_was_meant(params: dict[str, Any], what: str, fix: str) -> None:
    """What it is, whose it is, and what to write in its place."""
    with pytest.raises(InputError) as refused:
        ModelSpec(**SPEC, params=params)

    assert what in refused.value.what
    assert fix in refused.value.fix
    assert refused.value.where == "wear"


def test_a_detector_knows_its_own_parameters_only() -> None:
    """Trees of a forest; nothing of XGBoost's is read."""
    check_params({"trees": 50}, "anomaly", where="odd")
    for params in ({"max_depth": 3}, {"tres": 50}, {"trees": 0}):
        with pytest.raises(InputError):
            check_params(params, "anomaly", where="odd")


def some(kind: Bounds | Words) -> list[Any]:
    """Return values that may be, at and near the ends."""
    if isinstance(kind, Words):
        return list(kind.known)
    low, high = max(kind.low, -1.0), min(kind.high, 8.0)
    return [int(low), int(high)] if kind.whole else [low + 0.01 if kind.above else low, high]


@pytest.mark.parametrize("name", [name for name in known_to("survival") if name not in ("objective", "base_score")])
def test_xgboost_reads_every_parameter_that_is_known_here(name: str) -> None:
    """It trains with the ends of each range, and warns of none that it would not have read."""
    task = "survival" if name in SURVIVAL else "regression"
    for value in some({**TREES, **SURVIVAL}[name]):
        check_params({name: value}, task, where="wear")
        told = {"objective": "survival:aft" if name in SURVIVAL else "reg:squarederror", "nthread": 1, name: value}
        told |= {"objective": "reg:tweedie"} if name == "tweedie_variance_power" else {}
        told |= {"objective": "reg:pseudohubererror"} if name == "huber_slope" else {}
        told |= {"objective": "binary:logistic"} if name == "scale_pos_weight" else {}
        told |= {"tree_method": "hist"} if value == "lossguide" else {}
        data = xgboost.DMatrix(np.arange(40.0).reshape(20, 2), label=np.tile([0.0, 1.0], 10), nthread=1)
        data.set_float_info("label_lower_bound", np.ones(20))
        data.set_float_info("label_upper_bound", np.ones(20))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            xgboost.train(told, data, 1)


def test_what_is_said_to_be_the_default_is_xgboosts() -> None:
    """Said or unsaid, the trees are the same."""
    values = np.random.default_rng(1).normal(size=(200, 3))
    data = xgboost.DMatrix(values, label=values[:, 0] > 0, nthread=1)
    plain = {"objective": "binary:logistic", "nthread": 1}
    own = {name: value for name, value in UNSAID.items() if name not in SURVIVAL}

    said, unsaid = (xgboost.train(told, data, 5).save_raw("json") for told in ({**plain, **own}, plain))

    assert said == unsaid


def test_a_space_is_read_as_it_is_written() -> None:
    """Two numbers are a range, of whole ones where both are; a third word asks for small ones too."""
    space = read_space({"max_depth": [2, 6], "eta": [0.01, 0.3, "log"], "max_bin": {"one_of": [64, 256]}})

    assert space == {
        "max_depth": Range(low=2, high=6),
        "eta": Range(low=0.01, high=0.3, log=True),
        "max_bin": Choice(among=(64, 256)),
    }
    assert {name: read_space({name: one.to_plain()})[name] for name, one in space.items()} == space
    assert space["max_bin"].holds(64)
    assert not space["max_bin"].holds(65)


@pytest.mark.parametrize(
    "told",
    [[2], [6, 2], [2, 2], [0, 6, "log"], [2, 6, "lin"], ["a", "b"], {"one_of": [3]}, {"any": [3, 4]}, 4, [1, True]],
)
def test_what_is_neither_range_nor_choice_is_refused(told: Any) -> None:
    """With how to write one."""
    with pytest.raises(InputError, match="neither a range nor a choice") as refused:
        read_space({"max_depth": told})
    assert "write max_depth: [low, high]" in refused.value.fix


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ({"max_dept": [2, 6]}, "max_dept is read by nobody"),
        ({"max_depth": [0, 6]}, "max_depth is 0"),
        ({"max_depth": [2, 6.5]}, "max_depth is 6.5"),
        ({"subsample": [0.5, 2.0]}, "subsample is 2.0"),
        ({"tree_method": {"one_of": ["hist", "fast"]}}, "tree_method is 'fast'"),
        ({"rounds": [0, 100]}, "rounds may not be 0"),
    ],
)
def test_a_space_holds_what_may_be(told: dict[str, Any], message: str) -> None:
    """Both ends are parameters like any other."""
    with pytest.raises(InputError, match=message):
        ModelSpec(**SPEC, tune=read_space(told))


def test_a_detector_has_nothing_to_search() -> None:
    """Nothing says which of two detectors is the better one."""
    with pytest.raises(InputError, match="learns from healthy rows alone"):
        check_space(read_space({"trees": [50, 100]}), "anomaly", where="odd")
    assert set(DETECTORS) == {"trees"}


@pytest.mark.parametrize("task", ["binary", "rul", "survival"])
def test_the_usual_space_may_be_searched(task: str) -> None:
    """It is one that a file could declare."""
    check_space(usual(task), task, where="wear")
    assert ("aft_loss_distribution_scale" in usual(task)) == (task == "survival")
