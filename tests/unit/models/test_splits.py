"""By asset nobody is judged by who knew it; by time nobody by who could have known what came."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from lineshaft.errors import InputError
from lineshaft.models.matrix import Examples, examples
from lineshaft.models.spec import ModelSpec
from lineshaft.models.splits import judged_together, learned_from
from lineshaft.models.training import fit, train

HOUR_US = 3_600_000_000
SPEC = ModelSpec(
    name="wear",
    task="binary",
    service="pumps",
    features=("v__a",),
    rounds=15,
    split="time",
    embargo_us=5 * HOUR_US,
    reach_us=10 * HOUR_US,
)


def table(*, assets: int = 8, hours: int = 200) -> pa.Table:
    """Return rows of machines of which a row is positive where `a` is high."""
    a = np.random.default_rng(2).normal(size=assets * hours)
    times = pa.array(np.tile(np.arange(hours), assets) * HOUR_US).cast(pa.timestamp("us", tz="UTC"))
    names = np.repeat([f"pump-{i}" for i in range(assets)], hours)
    return pa.table({"asset_id": names, "event_time": times, "v__a": a, "label": (a > 1).astype(float)})


def rows() -> Examples:
    """Return them sorted."""
    return examples(SPEC, table())


@pytest.mark.parametrize("count", [0, 4])
def test_the_past_judges_the_future(count: int) -> None:
    """What a judge learned from was known, label and embargo, before the first row that it judges."""
    found = rows()

    parts = judged_together(replace(SPEC, folds=count), found)

    assert len(parts) == max(count, 1)
    begins = [int(found.times[part.judged].min()) for part in parts]
    for begin, part in zip(begins, parts, strict=True):
        assert int(found.times[part.learned].max()) + 15 * HOUR_US < begin
        assert int(found.times[part.learned].max()) + 16 * HOUR_US >= begin
    assert begins == sorted(set(begins))
    assert np.sum([part.judged for part in parts], axis=0).max() == 1


def test_rows_between_are_in_neither() -> None:
    """Eight pumps, fourteen hours whose label or embargo reaches the part held out, one at its edge."""
    (part,) = judged_together(SPEC, rows())

    assert int(part.judged.sum()) == 8 * 60
    assert int((~part.judged & ~part.learned).sum()) == 8 * 15


def test_the_artifact_of_a_part_held_out_learned_from_the_past_alone() -> None:
    """With folds it learns from all; without, other labels of the future change no bit of it."""
    found = rows()
    future = found.times >= 140 * HOUR_US
    other = replace(found, labels=np.where(future, 1 - found.labels, found.labels))

    assert fit(SPEC, found).artifact == fit(SPEC, other).artifact
    assert len(learned_from(replace(SPEC, folds=4), found).labels) == len(found.labels)


def test_figures_of_a_walk_forward_are_of_what_was_judged() -> None:
    """The first stretch teaches and is judged by nobody; the parameters say how the rows were split."""
    walked = train(replace(SPEC, folds=4), table())

    assert walked.metrics["test_rows"] == 8 * 160
    assert walked.metrics["pr_auc"] > 0.9
    assert (walked.params["split"], walked.params["folds"], walked.params["embargo_us"]) == ("time", 4, 5 * HOUR_US)
    assert walked.unseen.assets == train(SPEC, table()).unseen.assets == ()


def test_a_clock_that_tells_the_answer_helps_by_asset_and_not_by_time() -> None:
    """A season that ends: by asset every hour is known from the others, ahead it is not."""
    season = (np.tile(np.arange(200), 8) // 25 * 37) % 7 > 3
    clock = np.tile(np.arange(200.0), 8)
    told = table().set_column(2, "v__a", pa.array(clock)).set_column(3, "label", pa.array(season.astype(float)))
    by_asset = replace(SPEC, split="asset", embargo_us=0, folds=4)

    assert train(by_asset, told).metrics["pr_auc"] > 0.95
    assert train(replace(SPEC, folds=4), told).metrics["pr_auc"] < 0.7


def test_an_embargo_that_leaves_no_past_is_refused() -> None:
    """The message says how much there is and how much was asked for."""
    with pytest.raises(InputError, match=r"has 140 h before .* reach 150 h ahead"):
        train(replace(SPEC, embargo_us=140 * HOUR_US), table())
    with pytest.raises(InputError, match="nothing is left"):
        train(replace(SPEC, folds=20), table())


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"reach_us": 0}, "labels that look a known time ahead"),
        ({"split": "asset"}, "an embargo is a time between"),
        ({"embargo_us": -1}, "an embargo is a time between"),
        ({"split": "random"}, "a split by 'random' is not known"),
    ],
)
def test_a_split_that_could_leak_is_refused(changes: dict[str, Any], text: str) -> None:
    """Before any data is read."""
    with pytest.raises(InputError, match=text):
        replace(SPEC, **changes)
