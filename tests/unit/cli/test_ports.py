"""The ports beside gRPC are opened where the settings say, and nowhere else."""

from __future__ import annotations

from pathlib import Path

import httpx

from lineshaft.cli.ports import http_ports
from lineshaft.serving.door import Door
from lineshaft.settings import Settings
from lineshaft.wiring import connect, handlers


def test_mlflows_registry_answers_where_it_is_set(tmp_path: Path) -> None:
    """A model that is made there is one of the installation's own registry; without an address there is no port."""
    for address in ("", "127.0.0.1:0"):
        settings = Settings(home=tmp_path / "home", mlflow_address=address)
        with connect(settings, keep_online=False) as parts, http_ports(parts, handlers(parts), Door()) as ports:
            assert bool(ports) == bool(address)
            if address:
                made = ports["MLflow's registry"] + "/api/2.0/mlflow/registered-models/create"
                assert httpx.post(made, json={"name": "pump"}).status_code == 200
                assert [model.name for model in parts.registry.models()] == ["pump"]
