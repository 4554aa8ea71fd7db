"""Where the server listens, and where it will not."""

from __future__ import annotations

import socket
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lineshaft.clock import ManualClock
from lineshaft.errors import EnvironmentFault, InputError, UnavailableError
from lineshaft.serving.client import Client
from lineshaft.serving.features import FeatureHandler, Plans, TrainingSetHandler
from lineshaft.serving.server import Handlers, background_server
from lineshaft.settings import Settings
from lineshaft.wiring import limits


class EmptyCatalog:
    """No services at all."""

    def services(self) -> list[Any]:
        """Return none."""
        return []


@pytest.fixture
def handlers() -> Handlers:
    """Return handlers with nothing behind them."""
    nothing: Any = None
    catalog: Any = EmptyCatalog()
    plans = Plans(catalog=catalog)
    return Handlers(
        plans=plans,
        features=FeatureHandler(plans=plans, online=nothing, clock=ManualClock()),
        training=TrainingSetHandler(plans=plans, offline=nothing),
    )


@pytest.mark.parametrize(("worker", "shared"), [(None, False), (0, True), (1, True)])
def test_only_workers_of_a_crew_share_their_port(worker: int | None, shared: bool) -> None:
    """A server of its own holds its port alone, however many workers a crew would have."""
    parts: Any = SimpleNamespace(settings=Settings(workers=2, worker=worker))

    assert limits(parts).shared_port is shared


@pytest.mark.parametrize("address", ["127.0.0.1:0", "localhost:0", "[::1]:0"])
def test_it_listens_for_this_machine(handlers: Handlers, address: str) -> None:
    """Loopback addresses of either kind serve, on a port of the system's choice."""
    with background_server(handlers, address) as bound, Client(bound) as client:
        assert not bound.endswith(":0")
        assert client.services() == []


def test_it_listens_on_a_unix_socket(handlers: Handlers, tmp_path: Path) -> None:
    """A socket file is as good as a port."""
    with background_server(handlers, f"unix:{tmp_path}/s") as bound, Client(bound) as client:
        assert client.services() == []


@pytest.mark.parametrize("address", ["0.0.0.0:0", "[::]:0", "192.0.2.1:0", "example.com:0", "*:0"])
def test_an_address_that_others_can_reach_is_refused(handlers: Handlers, address: str) -> None:
    """Without authentication the server listens for this machine alone."""
    with pytest.raises(InputError, match="no authentication"), background_server(handlers, address):
        pass


def test_a_taken_port_is_refused(handlers: Handlers) -> None:
    """A second server on the same port is told so, and does not share it in silence."""
    with (
        background_server(handlers) as taken,
        pytest.raises(EnvironmentFault, match="cannot listen"),
        background_server(handlers, taken),
    ):
        pass


def test_a_client_without_a_server_is_told_where_it_looked() -> None:
    """The error names the address and what to check."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    with Client(address) as client, pytest.raises(UnavailableError) as caught:
        client.services()

    assert (caught.value.where, "lineshaft serve" in caught.value.fix) == (address, True)
