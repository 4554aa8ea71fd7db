"""Models on the command line: listed with what is known of them, and asked with what moved them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from lineshaft.models.columns import numeric_features
from lineshaft.models.gate import Gate, Policy
from lineshaft.models.spec import ModelSpec
from lineshaft.ops.model_release import Origin, release
from lineshaft.settings import Settings
from lineshaft.specs import View
from lineshaft.wiring import Parts, connect

Lineshaft = Callable[..., Any]
ASK = ("predict", "wear", "--key", "asset_id=pump-1,nobody", "--key", "position=de,de")
EASY = Gate(name="easy", metric="rmse", op="<", vs="baseline", min_groups=2)


@pytest.fixture(scope="module")
def parts(home: Path) -> Iterator[Parts]:
    """Return the parts of the home, in which a model was trained thrice: champion, rejected, too little evidence."""
    with connect(Settings(home=home)) as opened:
        service = opened.catalog.service("pump_health")
        generator = np.random.default_rng(1)
        rms = generator.normal(3, 1, size=120)
        rows = pa.table(
            {
                "asset_id": np.repeat([f"a{i}" for i in range(6)], 20),
                "event_time": pa.array(np.tile(np.arange(20), 6)).cast(pa.timestamp("us", tz="UTC")),
                "pumps__rms_1m": rms,
                "pumps__kurtosis_1m": generator.normal(size=120),
                "label": 10 * rms,
            }
        )
        spec = ModelSpec(
            name="wear", task="regression", service="pump_health", features=numeric_features(service), rounds=20
        )
        origin = Origin(service=service, table_versions={"pumps": 1}, actor="ann")
        for gate in (EASY, replace(EASY, margin=0.999), replace(EASY, min_groups=99)):
            policy = Policy(name="easy", gates=(gate,), auto=True)
            release(opened.registry, spec, rows, origin=origin, policy=policy, environment="dev")
        yield opened


@pytest.mark.usefixtures("parts")
def test_models_are_listed_with_champion_and_figures(lineshaft: Lineshaft) -> None:
    """Newest first, each with its state and what it was judged by; one of them is champion."""
    said = lineshaft("models", "--json")

    assert [(row["model"], row["task"], row["role"]) for row in said.rows] == [
        ("wear@3", "regression", ""),
        ("wear@2", "regression", ""),
        ("wear@1", "regression", "champion"),
    ]
    assert all(row["metrics"].count(", ") == 2 for row in said.rows)
    assert all(row["metrics"].startswith("rmse ") for row in said.rows)
    assert [row["state"] for row in said.rows] == ["registered", "rejected", "validated"]
    assert "champion" in lineshaft("models").out


@pytest.mark.usefixtures("parts")
def test_a_fleet_is_scored_by_one_model_or_by_all(lineshaft: Lineshaft) -> None:
    """Every machine of the home; a key beside it, or a model beside --all, is refused."""
    (one,) = lineshaft("predict", "wear", "--fleet", "--at", "2024-01-01T00:04:00", "--json").rows
    (every,) = lineshaft("predict", "--fleet", "--all", "--at", "2024-01-01T00:04:00", "--json").rows

    assert (one["model"], one["fault"]) == (every["model"], every["fault"]) == ("wear", "")
    assert one["entities"] == every["entities"] > 0
    for words in (("predict", "wear", "--fleet", "--key", "asset_id=a"), ("predict", "wear", "--all"), ("predict",)):
        assert lineshaft(*words).err.startswith("LS-INP")


@pytest.mark.usefixtures("parts")
def test_a_prediction_says_score_version_status_and_reasons(lineshaft: Lineshaft) -> None:
    """Of a known machine, present; of an unknown one no score, and why there is none instead of reasons."""
    said = lineshaft(*ASK, "--at", "2024-01-01T00:04:00", "--json")

    known, unknown = said.rows
    assert (known["asset_id"], known["position"], known["model"], known["status"]) == (
        "pump-1",
        "de",
        "wear@1",
        "PRESENT",
    )
    assert 5 < known["score"] < 60
    assert known["because"].startswith("pumps__rms_1m=2.121 (")
    assert (unknown["asset_id"], unknown["score"], unknown["status"]) == ("nobody", None, "NOT_FOUND")
    assert unknown["because"] == "no score: no input is present, or one that is required is not"


@pytest.mark.usefixtures("parts")
def test_a_prediction_from_old_data_says_so(lineshaft: Lineshaft) -> None:
    """Asked now about a recording of long ago, the features are withheld and the status tells."""
    assert lineshaft(*ASK, "--json").rows[0]["status"] == "STALE"


@pytest.mark.usefixtures("parts")
@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (("predict", "wear", "--key", "asset_id=pump-1"), "LS-INP", "'position'"),
        (("predict", "ware", "--key", "asset_id=pump-1"), "LS-NOF", "ware"),
        (
            ("predict", "wear", "--key", "asset_id=a", "--key", "position=de", "--at", "soon"),
            "LS-INP",
            "'soon' is no moment",
        ),
    ],
)
def test_a_question_that_cannot_be_asked_is_refused(
    lineshaft: Lineshaft, words: tuple[str, ...], code: str, text: str
) -> None:
    """A key short, a model nobody trained, a moment that is none."""
    said = lineshaft(*words)

    assert said.code == 1
    assert said.err.startswith(code)
    assert text in said.err


def test_predictions_are_logged_with_the_models_own_view(parts: Parts, pumps: View) -> None:
    """The champion pins the view that the home serves: a prediction can be traced to the rows it read."""
    (pin,) = parts.registry.champion("wear", "dev").pins

    assert (pin.view, pin.version, pin.table_version) == ("pumps", pumps.version, 1)
