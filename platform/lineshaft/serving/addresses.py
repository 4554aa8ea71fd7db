"""Where servers may listen."""

from __future__ import annotations

import ipaddress

from lineshaft.errors import InputError

MOST_PORT = 65_535


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


def refuse_open_address(address: str, *, setting: str = "LINESHAFT_GRPC_ADDRESS") -> None:
    """Raise `InputError` unless it is an address, `host:port` or `unix:path`, that only this machine can reach."""
    if address.startswith("unix:"):
        return
    host, _ = host_and_port(address, setting=setting)
    try:
        closed = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        closed = False
    if not closed:
        raise InputError(
            f"{address} can be reached from other machines, and there is no authentication yet",
            where=setting,
            fix="listen on 127.0.0.1, and put a proxy that authenticates in front of it",
        )
