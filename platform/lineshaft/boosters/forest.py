"""A booster as its trees: every number of it held against every other before anything follows one.

XGBoost's own reader trusts a child's number, recurses along a chain of nodes and allocates what a count says. So files
are read here, and scored of what was read: XGBoost, which trains, is never given one. What is not the model of one
score, sound in every place, is refused with the place.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from lineshaft.boosters.document import read_document
from lineshaft.errors import InputError, LineshaftError

MAX_TREE_DEPTH = 128
MAX_TEXT = 1_000
MAX_ATTRIBUTE = 1 << 20
ROOTS = (-1, 2**31 - 1)
"""What XGBoost writes as the parent of a root."""
_ARRAYS: Mapping[str, type[np.generic]] = {
    "base_weights": np.float32,
    "default_left": np.uint8,
    "left_children": np.int32,
    "loss_changes": np.float32,
    "parents": np.int32,
    "right_children": np.int32,
    "split_conditions": np.float32,
    "split_indices": np.int32,
    "split_type": np.uint8,
    "sum_hessian": np.float32,
}
_EMPTY: Mapping[str, type[np.generic]] = {
    "categories": np.int32,
    "categories_nodes": np.int32,
    "categories_segments": np.int64,
    "categories_sizes": np.int64,
}
_SHAPE = {
    "the root": {"learner", "version"},
    "learner": {"attributes", "feature_names", "feature_types", "gradient_booster", "learner_model_param", "objective"},
    "gradient_booster": {"model", "name"},
    "model": {"gbtree_model_param", "iteration_indptr", "tree_info", "trees"},
    "tree": {*_ARRAYS, *_EMPTY, "id", "tree_param"},
}
_OPTIONAL = {"model": {"cats"}}


@dataclass(frozen=True, slots=True, kw_only=True)
class Forest:
    """All trees end to end. Node `i` of tree `t` is `starts[t] + i`; children count from their tree's own start.

    A node without children (-1) is a leaf, and its threshold is its value; elsewhere a value below the threshold goes
    left, a missing one where `default_left` says.
    """

    objective: str
    base_score: float
    features: tuple[str, ...]
    attributes: Mapping[str, str]
    rounds: int
    starts: NDArray[np.int64]
    left: NDArray[np.int32]
    right: NDArray[np.int32]
    split: NDArray[np.int32]
    threshold: NDArray[np.float32]
    default_left: NDArray[np.uint8]
    cover: NDArray[np.float32]  # the weight of the training rows that came by


def read_forest(content: bytes, *, artifact_format: str = "") -> Forest:
    """Return the trees of an artifact, held within bounds; the format is told by the bytes unless it is named.

    Raises
    ------
    InputError
        If it is no sound booster of one score, with the place and the reason.
    """
    try:
        return sound(read_document(content, artifact_format or ("ubj" if content[:2] == b"{L" else "json")))
    except LineshaftError:
        raise
    except (ValueError, TypeError, OverflowError, KeyError) as error:
        raise InputError(f"no booster can be read: {error}"[:300], fix="save the model with save_raw('ubj')") from error


def sound(document: dict[str, Any]) -> Forest:
    """Check a document in every place, and make its numbers what XGBoost's own files have; return its trees."""
    _keys(document, "the root")
    learner = _keys(document["learner"], "learner")
    version = document["version"]
    if not isinstance(version, list) or len(version) != 3 or any(type(part) is not int for part in version):
        _refuse("version", "is no list of three numbers")
    if not all(0 <= part < 100 for part in version):
        _refuse("version", f"{version} is none of XGBoost's")
    attributes = _texts(learner["attributes"], "attributes", most=MAX_ATTRIBUTE)
    names = _names(learner["feature_names"], "feature_names")
    types = _names(learner["feature_types"], "feature_types", once=False)
    if not set(types) <= {"float", "int", "i", "q"} or len(types) not in (0, len(names)):
        _refuse("feature_types", "are not one number's type for each feature")
    param = _texts(learner["learner_model_param"], "learner_model_param")
    if int(param["num_feature"]) != len(names) or not names:
        _refuse("num_feature", f"is {param['num_feature'][:20]}, {len(names)} features are named")
    if int(param.get("num_class", 0)) > 1 or int(param.get("num_target", 1)) != 1:
        _refuse("learner_model_param", "more than one score is not taken")
    base = float(param["base_score"].strip("[]"))
    if not math.isfinite(base):
        _refuse("base_score", f"{base} is no number")
    objective = learner["objective"]
    if not isinstance(objective, dict) or not _text(objective.get("name"), "objective"):
        _refuse("objective", "has no name")
    for name, value in objective.items():
        if name != "name":
            _texts(value, f"objective.{name[:80]}")
    booster = learner["gradient_booster"]
    if isinstance(booster, dict) and booster.get("name", "gbtree") != "gbtree":
        _refuse("gradient_booster", f"{booster['name']!r:.40} is not taken: only gbtree is")
    booster = _keys(booster, "gradient_booster")
    told = {"objective": objective["name"], "base_score": base, "features": names, "attributes": attributes}
    return _forest(_keys(booster["model"], "model"), told)


def _forest(model: dict[str, Any], told: dict[str, Any]) -> Forest:
    """Check the model's own counts, then all trees at once."""
    trees, param = model["trees"], _texts(model["gbtree_model_param"], "gbtree_model_param")
    if not isinstance(trees, list) or not trees:
        _refuse("trees", "there are none")
    if int(param["num_trees"]) != len(trees):
        _refuse("num_trees", f"is {param['num_trees'][:20]}, there are {len(trees)} trees")
    if not 1 <= int(param.get("num_parallel_tree", 1)) <= len(trees):
        _refuse("num_parallel_tree", f"is {param['num_parallel_tree'][:20]} for {len(trees)} trees")
    _no_categories(model)
    info = _counts(model["tree_info"], "tree_info")
    if len(info) != len(trees) or info.any():
        _refuse("tree_info", "does not say 0 once for each tree")
    ends = _counts(model["iteration_indptr"], "iteration_indptr")
    if not len(ends) or ends[0] != 0 or ends[-1] != len(trees) or (np.diff(ends) < 0).any():
        _refuse("iteration_indptr", f"does not lead from 0 to {len(trees)}")
    sizes = [_tree(tree, number, features=len(told["features"])) for number, tree in enumerate(trees)]
    whole = {name: np.concatenate([tree[name] for tree in trees]) for name in _ARRAYS}
    starts = np.cumsum([0, *sizes], dtype=np.int64)
    deleted = np.array([int(tree["tree_param"].get("num_deleted", 0)) for tree in trees])
    _walk(whole, starts, deleted=deleted, features=len(told["features"]))
    return Forest(
        **told,
        rounds=len(ends) - 1,
        starts=starts,
        left=whole["left_children"],
        right=whole["right_children"],
        split=whole["split_indices"],
        threshold=whole["split_conditions"],
        default_left=whole["default_left"],
        cover=whole["sum_hessian"],
    )


def _tree(tree: Any, number: int, *, features: int) -> int:
    """Check that a tree's columns have one length and are of numbers; return it."""
    where = f"tree {number}"
    _keys(tree, "tree", where=where)
    if type(tree["id"]) is not int or tree["id"] != number:
        _refuse(where, "has another id than its place")
    param = _texts(tree["tree_param"], where)
    count = int(param["num_nodes"])
    if int(param["num_feature"]) != features or int(param.get("size_leaf_vector", 1)) > 1 or count < 1:
        _refuse(where, "has other features than the model, a vector for a leaf, or no node")
    for name, dtype in _ARRAYS.items():
        if len(_numbers(tree, name, dtype, where)) != count:
            _refuse(where, f"{name} has {len(tree[name])} values for {count} nodes")
    for name, dtype in _EMPTY.items():
        if len(_numbers(tree, name, dtype, where)):
            _refuse(where, "splits by category, which is not taken")
    return count


def _walk(whole: Mapping[str, NDArray[Any]], starts: NDArray[np.int64], *, deleted: Any, features: int) -> None:
    """Go down all trees at once, floor by floor: each node is met once, by its own parent, or is one of the deleted."""
    first = np.repeat(starts[:-1], np.diff(starts))
    last = np.repeat(starts[1:], np.diff(starts))
    parents = whole["parents"].astype(np.int64)
    if not np.isin(parents[starts[:-1]], ROOTS).all():
        _refuse("parents", "a root has a parent")
    met = np.zeros(len(first), np.int64)
    floor = starts[:-1]
    for _ in range(MAX_TREE_DEPTH + 1):
        np.add.at(met, floor, 1)
        if (met[floor] > 1).any():
            _refuse("children", "a node is the child of two, or of its own children")
        left, right = whole["left_children"][floor], whole["right_children"][floor]
        if ((left == -1) != (right == -1)).any() or (left < -1).any() or (right < -1).any():
            _refuse("children", "a node has one child, or a negative one")
        inner = left != -1
        above = floor[inner]
        _splits(whole, above, features=features)
        _leaves(whole, floor[~inner])
        above, child = np.tile(above, 2), np.concatenate([left[inner], right[inner]]).astype(np.int64)
        if (child >= last[above] - first[above]).any():
            _refuse("children", "a child lies outside its tree")
        floor = first[above] + child
        if (parents[floor] != above - first[above]).any():
            _refuse("parents", "a child names another parent")
        if not len(floor):
            break
    else:
        _refuse("trees", f"a tree is deeper than {MAX_TREE_DEPTH}")
    unmet = np.add.reduceat(met == 0, starts[:-1])
    if (unmet != deleted).any():
        _refuse("trees", f"tree {int(np.flatnonzero(unmet != deleted)[0])} has nodes that no way leads to")


def _splits(whole: Mapping[str, NDArray[Any]], nodes: NDArray[np.int64], *, features: int) -> None:
    """Check the nodes that ask a question."""
    asked = whole["split_indices"][nodes]
    if (asked < 0).any() or (asked >= features).any():
        _refuse("split_indices", f"a split asks for feature {int(asked.max())} of {features}")
    if np.isnan(whole["split_conditions"][nodes]).any():
        _refuse("split_conditions", "a threshold is NaN")
    if (whole["default_left"][nodes] > 1).any() or whole["split_type"][nodes].any():
        _refuse("default_left", "a split is neither left nor right, or no split of numbers")


def _leaves(whole: Mapping[str, NDArray[Any]], nodes: NDArray[np.int64]) -> None:
    """Check the nodes that answer."""
    if not np.isfinite(whole["split_conditions"][nodes]).all():
        _refuse("split_conditions", "a leaf's value is no number")


def _no_categories(model: dict[str, Any]) -> None:
    """Refuse dictionaries of categories; XGBoost writes that there are none."""
    cats = model.get("cats")
    if cats is None:
        return
    if not isinstance(cats, dict) or set(cats) != {"enc", "feature_segments", "sorted_idx"} or cats["enc"] != []:
        _refuse("cats", "categories are not taken")
    for name in ("feature_segments", "sorted_idx"):
        if _numbers(cats, name, np.int32, "cats").any():
            _refuse("cats", "categories are not taken")


def _keys(found: Any, what: str, *, where: str = "") -> dict[str, Any]:
    """Return an object that has the keys of its kind, no more and no fewer."""
    if not isinstance(found, dict):
        _refuse(where or what, "is no object")
    missing = sorted(_SHAPE[what] - found.keys())
    unknown = sorted(found.keys() - _SHAPE[what] - _OPTIONAL.get(what, set()))
    if missing or unknown:
        _refuse(
            where or what, f"lacks {missing[0]!r}" if missing else f"has {unknown[0]!r:.80}, of which nothing is known"
        )
    whole: dict[str, Any] = found
    return whole


def _texts(found: Any, where: str, *, most: int = MAX_TEXT) -> dict[str, str]:
    """Return an object of short texts."""
    if not isinstance(found, dict) or len(found) > MAX_TEXT:
        _refuse(where, "is no object of texts")
    for name, value in found.items():
        _text(name, where)
        _text(value, where, most=most)
    return found


def _text(value: Any, where: str, *, most: int = MAX_TEXT) -> str:
    if not isinstance(value, str) or len(value) > most:
        _refuse(where, f"holds what is no text of at most {most} letters")
    value.encode()
    return value


def _names(found: Any, where: str, *, once: bool = True) -> tuple[str, ...]:
    if not isinstance(found, list):
        _refuse(where, "is no list")
    names = tuple(_text(name, where) for name in found)
    if once and len(set(names)) < len(names):
        _refuse(where, "name a feature twice")
    return names


def _numbers(holder: dict[str, Any], name: str, dtype: type[np.generic], where: str) -> NDArray[Any]:
    """Return a column of numbers in the type XGBoost gives it, put where it was found; JSON has lists of them."""
    given = holder[name]
    if isinstance(given, list):
        if any(type(value) not in (int, float) for value in given):
            _refuse(where, f"{name} holds what is no number")
        found = np.array(given, np.float64 if issubclass(dtype, np.floating) else np.int64 if given else dtype)
        with np.errstate(over="ignore"):
            cast = found.astype(dtype)
        if issubclass(dtype, np.integer) and (cast.astype(np.int64) != np.array(given, np.float64)).any():
            _refuse(where, f"{name} holds what is no number of {np.dtype(dtype)}")
        holder[name] = cast
    elif not isinstance(given, np.ndarray) or given.dtype != dtype:
        _refuse(where, f"{name} is no column of {np.dtype(dtype)}")
    column: NDArray[Any] = holder[name]
    return column


def _counts(found: Any, where: str) -> NDArray[np.int64]:
    """Return small whole numbers, which XGBoost writes one by one."""
    if not isinstance(found, list) or any(type(value) is not int or not 0 <= value < 2**31 for value in found):
        _refuse(where, "is no list of counts")
    return np.array(found, np.int64)


def _refuse(where: str, why: str) -> NoReturn:
    raise InputError(f"no booster can be read: {where} {why}", fix="save the model with save_raw('ubj')")
