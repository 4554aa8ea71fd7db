"""Where a server may listen: on this machine, at an address that is one."""

from __future__ import annotations

import pytest

from lineshaft.errors import InputError
from lineshaft.serving.addresses import refuse_open_address


@pytest.mark.parametrize("address", ["127.0.0.1:7700", "localhost:0", "[::1]:7700", "unix:/tmp/x.sock", "127.8.9.1:1"])
def test_addresses_of_this_machine_are_taken(address: str) -> None:
    """Loopback by number or name, in both families, and sockets of the file system."""
    refuse_open_address(address, setting="LINESHAFT_GRPC_ADDRESS")


@pytest.mark.parametrize("address", ["0.0.0.0:7700", "[::]:7700", "10.0.0.4:7700", "plant.example:7700"])
def test_addresses_that_others_reach_are_refused(address: str) -> None:
    """There is no authentication yet."""
    with pytest.raises(InputError, match="can be reached from other machines"):
        refuse_open_address(address, setting="LINESHAFT_GRPC_ADDRESS")


@pytest.mark.parametrize(
    "address", ["foo", "127.0.0.1", "127.0.0.1:", "127.0.0.1:99999", "127.0.0.1:http", ":7700", ""]
)
def test_what_is_no_address_is_refused_as_such(address: str) -> None:
    """A port that would wrap around, a name without a port: said as it is, with the setting that holds it."""
    with pytest.raises(InputError, match="is no address") as caught:
        refuse_open_address(address, setting="LINESHAFT_X")

    assert caught.value.where == "LINESHAFT_X"
