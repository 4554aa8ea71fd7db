"""Where servers may listen."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping

from lineshaft.errors import InputError

MOST_PORT = 65_535
_ALWAYS_MISSING = {"authentication": "put a proxy that authenticates in front of it"}


def host_and_port(address: str, *, setting: str) -> tuple[str, int]:
    """Return the two parts of `host:port`, an IPv6 host without its brackets; raises `InputError` where it is none.

    >>> host_and_port("[::1]:7700", setting="LINESHAFT_GRPC_ADDRESS")
    ('::1', 7700)
    """
    before, _, port = address.rpartition(":")
    host = before.strip("[]")
    if not host or not port.isdecimal() or int(port) > MOST_PORT:
        raise InputError(f"{address!r} is no address", where=setting, fix="write host:port, such as 127.0.0.1:7700")
    return host, int(port)


def neighbour(address: str, by: int, *, setting: str) -> str:
    """Return the address whose port is `by` further; an empty one, and one whose port is chosen freely, stay.

    >>> neighbour("127.0.0.1:7702", 1, setting="LINESHAFT_METRICS_ADDRESS")
    '127.0.0.1:7703'
    """
    if not address or not by:
        return address
    _, port = host_and_port(address, setting=setting)
    return f"{address.rpartition(':')[0]}:{port + by}" if port else address


def is_local(address: str) -> bool:
    """Tell whether only this machine can reach an address, `host:port` or `unix:path`.

    >>> is_local("127.0.0.1:7700"), is_local("unix:/run/lineshaft"), is_local("0.0.0.0:7700")
    (True, True, False)
    """
    if address.startswith("unix:"):
        return True
    host = address.rpartition(":")[0].strip("[]")
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def refuse_open_address(address: str, *, setting: str, missing: Mapping[str, str] = _ALWAYS_MISSING) -> None:
    """Raise `InputError` for no address, and for one that other machines can reach while something is missing.

    missing: what ought to stand between the network and the server, and does not; with how to get it.
    """
    if not address.startswith("unix:"):
        host_and_port(address, setting=setting)
    if missing and not is_local(address):
        raise InputError(
            f"{address} can be reached from other machines, and there is no {' and no '.join(missing)}",
            where=setting,
            fix=f"{', '.join(missing.values())}; or listen on 127.0.0.1",
        )
