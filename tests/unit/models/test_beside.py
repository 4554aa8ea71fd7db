"""Beside a rival: only rows count that neither learned from, and where there are none the reason is told."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from lineshaft.models.beside import Judge, Rival, beside
from lineshaft.models.spec import ModelSpec
from lineshaft.models.trained import TrainedModel
from lineshaft.models.training import train

SPEC = ModelSpec(name="wear", task="regression", service="health", features=("a", "b"), rounds=60, params={"eta": 0.3})


@pytest.fixture(scope="module")
def rows() -> pa.Table:
    """Return rows of twenty assets whose label follows two features, in no order."""
    dice = np.random.default_rng(1)
    a, b = dice.normal(size=(2, 400))
    table = pa.table(
        {
            "asset_id": np.repeat([f"p{i:02d}" for i in range(20)], 20),
            "event_time": pa.array(np.tile(np.arange(20), 20)).cast(pa.timestamp("us", tz="UTC")),
            "a": a,
            "b": b,
            "label": 10 * a + 5 * b,
        }
    )
    return table.take(dice.permutation(400))


@pytest.fixture(scope="module")
def champion(rows: pa.Table) -> TrainedModel:
    """Return a champion that knows one feature alone."""
    return train(replace(SPEC, features=("a",)), rows)


def rival(trained: TrainedModel, *, unseen: tuple[str, ...] | None = None, artifact: bytes | None = None) -> Rival:
    """Return a trained model as somebody to be set beside."""
    judge = Judge(
        artifact=trained.artifact if artifact is None else artifact,
        unseen=frozenset(trained.unseen.assets if unseen is None else unseen),
    )
    return Rival(ref="wear@1", features=trained.features, judges=(judge,))


def test_a_gain_is_of_the_rows_that_neither_has_seen(rows: pa.Table, champion: TrainedModel) -> None:
    """The same assets were held out of both: each is scored by its own inputs, row by row, whatever their order."""
    better, same = train(SPEC, rows), train(replace(SPEC, features=("a",)), rows)

    gained, nothing = beside(SPEC, rows, better, rival(champion)), beside(SPEC, rows, same, rival(champion))

    assert (gained.against, gained.why_not, gained.n, gained.groups) == ("wear@1", "", 120, 6)
    assert gained.figures["rmse"].baseline == pytest.approx(champion.metrics["rmse"])
    assert gained.figures["rmse"].value == pytest.approx(1 - better.metrics["rmse"] / champion.metrics["rmse"])
    assert (gained.figures["rmse"].low or 0) > 0.1
    assert nothing.figures["rmse"].value == 0


def test_a_rival_that_saw_the_answers_is_no_measure(rows: pa.Table, champion: TrainedModel) -> None:
    """By folds it learned from all, itself; of those it saw some, only the others count."""
    folded = train(replace(SPEC, folds=4), rows)
    better = train(SPEC, rows)

    known = beside(SPEC, rows, better, rival(folded))
    partly = beside(SPEC, rows, better, rival(champion, unseen=champion.unseen.assets[:2]))

    assert folded.unseen.assets == ()
    assert (known.n, known.figures) == (0, {})
    assert known.why_not.startswith("wear@1 learned from every row that is held out here")
    assert (partly.n, partly.groups) == (40, 2)


def test_a_rival_that_cannot_be_asked_says_why(rows: pa.Table, champion: TrainedModel) -> None:
    """Its inputs are not in the training set, its file is gone, or nothing compares two of the task."""
    better = train(SPEC, rows)
    other = train(replace(SPEC, features=("c",)), rows.rename_columns([*rows.column_names[:2], "c", "b", "label"]))

    assert "feature 'c' is not in the table" in beside(SPEC, rows, better, rival(other)).why_not
    assert beside(SPEC, rows, better, rival(champion, artifact=b"")).why_not.startswith("wear@1 cannot be asked")


def test_positives_are_counted_of_a_probability_alone(rows: pa.Table) -> None:
    """A gate asks how many failures a comparison rests on."""
    spec = replace(SPEC, task="binary")
    labels = pa.array((np.asarray(rows["label"]) > 12).astype(np.float64))
    table = rows.set_column(4, "label", labels)
    trained = train(spec, table)

    found = beside(spec, table, trained, rival(trained))

    assert found.figures["pr_auc"].value == 0
    assert found.n_pos == trained.metrics["test_positives"]
    assert found.pos_groups == trained.metrics["test_positive_groups"]
