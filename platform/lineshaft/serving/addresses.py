"""Where servers may listen."""

from __future__ import annotations

import ipaddress

from lineshaft.errors import InputError


def refuse_open_address(address: str, *, setting: str = "LINESHAFT_GRPC_ADDRESS") -> None:
    """Raise `InputError` unless only this machine can reach the address."""
    if address.startswith("unix:"):
        return
    host = address.rpartition(":")[0].strip("[]")
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
