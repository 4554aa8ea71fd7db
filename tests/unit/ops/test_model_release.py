"""From rows to a champion: what is pinned, what the gate decides, and what is promoted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from lineshaft.clock import ManualClock
from lineshaft.errors import InputError, NotFoundError
from lineshaft.models.gate import Gate, Policy
from lineshaft.models.spec import ModelSpec
from lineshaft.models.training import train
from lineshaft.ops.model_release import Origin, candidate, release
from lineshaft.registry.migrate import upgrade
from lineshaft.registry.models import ModelRegistry, open_registry
from lineshaft.registry.records import State
from lineshaft.specs import Service, ServiceView

SERVICE = Service(
    name="health",
    views=(
        ServiceView(view="heat", version="1" * 12, features=("mean",)),
        ServiceView(view="lab", version="2" * 12, features=("grade",)),
    ),
)
SPEC = ModelSpec(
    name="wear",
    task="regression",
    service="health",
    features=("heat__mean", "lab__grade"),
    rounds=15,
    team="process",
    owner="ann@x",
    description="How worn it is.",
)
ORIGIN = Origin(service=SERVICE, table_versions={"heat": 4}, actor="ann", lock_sha256="a" * 64)
GATE = Gate(name="easy", metric="rmse", op="<", vs="baseline", min_groups=2)
EASY = Policy(name="lenient", gates=(GATE,), auto=True, sha256="b" * 64)
HARD = replace(EASY, gates=(replace(GATE, margin=0.999),))


@pytest.fixture(scope="module")
def rows() -> pa.Table:
    """Return rows of ten assets whose label follows one feature."""
    generator = np.random.default_rng(1)
    mean = generator.normal(size=200)
    return pa.table(
        {
            "asset_id": np.repeat([f"a{i}" for i in range(10)], 20),
            "event_time": pa.array(np.tile(np.arange(20), 10)).cast(pa.timestamp("us", tz="UTC")),
            "heat__mean": mean,
            "lab__grade": generator.normal(size=200),
            "label": 10 * mean,
        }
    )


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[ModelRegistry]:
    """Return an empty registry."""
    url = f"sqlite:///{tmp_path / 'registry.db'}"
    upgrade(url)
    opened = open_registry(database_url=url, artifacts=tmp_path / "artifacts", clock=ManualClock(time_us=5))
    yield opened
    opened.engine.dispose()


def test_a_candidate_pins_all_it_was_made_from(rows: pa.Table) -> None:
    """Views by version and table version (-1 where none was read), rows, parameters, seed, library and lock."""
    trained = train(SPEC, rows)

    made = candidate(SPEC, trained, ORIGIN)

    assert [(pin.view, pin.version, pin.table_version) for pin in made.pins] == [
        ("heat", "1" * 12, 4),
        ("lab", "2" * 12, -1),
    ]
    assert Service.from_json(made.service_json) == SERVICE
    assert (made.model, made.task, made.service, made.artifact_format) == ("wear", "regression", "health", "ubj")
    assert (made.team, made.owner, made.description, made.lock_sha256) == (
        "process",
        "ann@x",
        SPEC.description,
        "a" * 64,
    )
    shared = ("features", "training_set", "rows", "artifact", "params", "metrics", "seed", "library")
    assert all(getattr(made, name) == getattr(trained, name) for name in shared)


def test_what_passes_its_gate_is_promoted(registry: ModelRegistry, rows: pa.Table) -> None:
    """Registered, judged by the named policy, and champion of the one environment, for the reason of the gate."""
    done = release(registry, SPEC, rows, origin=ORIGIN, policy=EASY, environment="prod")

    assert done.judgement.outcome == "pass"
    assert done.version.state is State.VALIDATED
    assert done.assignment is not None
    assert (done.assignment.number, done.assignment.environment) == (1, "prod")
    assert registry.champion("wear", "prod") == registry.get("wear", 1)
    (verdict,) = registry.verdicts("wear", 1)
    assert (verdict.gate, verdict.outcome, verdict.policy_sha256) == ("easy", "pass", "b" * 64)
    assert done.judgement.detail == f"easy: {verdict.detail}"
    (shown,) = registry.evidence("wear", 1)
    assert shown.rows == done.version.training_set == verdict.figures["rows"]
    assert (verdict.figures["value"], verdict.figures["high"]) == (
        shown.figures["rmse"].value,
        shown.figures["rmse"].high,
    )
    assert [(line.action, line.actor, line.reason) for line in registry.history("wear")] == [
        ("register", "ann", "200 rows"),
        ("attest", "ann", f"{shown.n} rows of {shown.groups} assets held out"),
        ("judge", "ann", f"easy: pass; {verdict.detail}"),
        ("promote", "policy lenient, for ann", done.judgement.detail),
    ]


@pytest.mark.parametrize(
    ("gate", "state"),
    [
        (replace(GATE, margin=0.999), State.REJECTED),
        (replace(GATE, min_groups=99), State.REGISTERED),
        (replace(GATE, metric="pr_auc", op=">"), State.REGISTERED),
    ],
    ids=["too bad", "too little evidence", "no such figure"],
)
def test_what_does_not_pass_is_kept_and_not_promoted(
    registry: ModelRegistry, rows: pa.Table, gate: Gate, state: State
) -> None:
    """The version stays to be looked at; nobody is served by it."""
    policy = replace(EASY, gates=(GATE, gate))
    done = release(registry, SPEC, rows, origin=ORIGIN, policy=policy, environment="prod")

    assert done.assignment is None
    assert done.version.state is registry.get("wear", 1).state is state
    assert registry.generation("prod") == 0
    with pytest.raises(NotFoundError, match="no champion"):
        registry.champion("wear", "prod")


def test_a_worse_successor_leaves_the_champion(registry: ModelRegistry, rows: pa.Table) -> None:
    """A failed retrain takes nothing away; a good one takes over."""
    release(registry, SPEC, rows, origin=ORIGIN, policy=EASY, environment="prod")
    release(registry, SPEC, rows, origin=ORIGIN, policy=HARD, environment="prod")
    kept = registry.champion("wear", "prod").number
    release(registry, replace(SPEC, seed=8), rows, origin=ORIGIN, policy=EASY, environment="prod")

    assert (kept, registry.champion("wear", "prod").number) == (1, 3)


def test_rows_that_cannot_teach_register_nothing(registry: ModelRegistry, rows: pa.Table) -> None:
    """A refused training leaves no version behind."""
    constant = rows.set_column(rows.column_names.index("label"), "label", pa.array([1.0] * 200))

    with pytest.raises(InputError, match="all 200 labels are equal"):
        release(registry, SPEC, constant, origin=ORIGIN, policy=EASY, environment="prod")

    assert registry.models() == []


def test_the_same_rows_are_the_same_model_under_two_numbers(registry: ModelRegistry, rows: pa.Table) -> None:
    """A retrain from the same pins gives the same bytes, kept once, and a version of its own."""
    first, second = (
        release(registry, SPEC, table, origin=ORIGIN, policy=EASY, environment="prod").version
        for table in (rows, rows.take(np.random.default_rng(2).permutation(200)))
    )

    assert (first.number, second.number) == (1, 2)
    assert (first.artifact_sha256, first.training_set) == (second.artifact_sha256, second.training_set)
    assert dict(first.metrics) == dict(second.metrics)
