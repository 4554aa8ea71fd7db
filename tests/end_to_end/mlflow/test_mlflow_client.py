"""MLflow's own client on our registry: what people do with it, and the same acts on MLflow's own store."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lineshaft.interop.mlflow_registry import MlflowRegistry

pytestmark = pytest.mark.heavy
ACTS = int(os.environ.get("MLFLOW_ACTS", "1500"))  # noqa: TID251 - how long a proof may take is its caller's choice
SEEDS = os.environ.get("MLFLOW_SEEDS", "11").split(",")  # noqa: TID251 - and so is what is drawn
Run = Callable[..., dict[str, Any]]


def test_what_people_do_with_the_client_works(address: str, registry: MlflowRegistry, run: Run, tmp_path: Path) -> None:
    """Log, register, alias and load by MLflow's means: the same bits; pickles and what nothing can feed are refused."""
    found = run("usual_flow.py", address, str(tmp_path))

    assert {name: found[name] for name in ("same bits", "pyfunc same", "champion same")} == dict.fromkeys(
        ("same bits", "pyfunc same", "champion same"), True
    )
    assert found["aliases"] == {"champion": "1"}
    assert found["found"] == ["pinned"]
    for refused, code, why in (
        ("sklearn", "INVALID_PARAMETER_VALUE", "can run code"),
        ("pyfunc", "INVALID_PARAMETER_VALUE", "can run code"),
        ("unpinned champion", "INVALID_STATE", "pins no feature view"),
        ("no champion", "INVALID_STATE", "without a champion"),
        ("champion deleted", "INVALID_STATE", "is champion in 'dev'"),
    ):
        assert found[refused][0] == code, found[refused]
        assert why in found[refused][1]
    history = registry.annotations.registry.history("pinned")
    assert [(line.action, line.reason) for line in history][-1] == ("promote", "two more sites")
    assert registry.annotations.registry.get("pinned", 1).pins[0].view == "pump"


@pytest.mark.timeout(7200)
@pytest.mark.parametrize("seed", SEEDS)
def test_random_acts_end_as_on_mlflows_own_store(seed: str, address: str, run: Run, tmp_path: Path) -> None:
    """Random acts through MLflow's client end alike on its SQL store and here, but for what is documented."""
    found = run("differential.py", address, seed, str(ACTS), str(tmp_path), timeout_s=7000)
    print(f"seed {seed}", found)  # noqa: T201 - the figures, for whoever runs it with -s

    assert found["differences"] == []
    assert found["acts"] == ACTS
    assert found["codes"][""] > ACTS / 4, "most acts must do something"
    assert sum(found["refused"].values()) < ACTS / 10, "what is refused by design must stay rare"
