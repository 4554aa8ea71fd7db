"""What stands between the network and the handlers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from lineshaft.access.guard import CALLER, LOCAL, Caller, Guard
from lineshaft.serving.addresses import refuse_open_address
from lineshaft.serving.tls import Tls


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """Encryption of connections, and the guard. By default there is neither: then only this machine is served."""

    tls: Tls | None = None
    guard: Guard | None = None

    @property
    def caller(self) -> Callable[[], Caller]:
        """Return what tells who makes the call being answered; with a guard it fails for one that was not admitted."""
        return CALLER.get if self.guard is not None else _local

    @property
    def scheme(self) -> str:
        """Return how an address of HTTP begins behind it."""
        return "http" if self.tls is None else "https"

    def refuse_unguarded(self, address: str, *, setting: str = "LINESHAFT_GRPC_ADDRESS", otherwise: str = "") -> None:
        """Raise `InputError` for an address that other machines can reach unless everything is set.

        otherwise: what else mends it, in words.
        """
        missing = {}
        if self.tls is None:
            missing["encryption"] = "set LINESHAFT_TLS_CERT and LINESHAFT_TLS_KEY"
        if self.guard is None:
            missing["authentication"] = "set LINESHAFT_AUTH_TOKENS=true or LINESHAFT_OIDC_ISSUER"
        if missing and otherwise:
            missing[list(missing)[-1]] += f"; {otherwise}"
        refuse_open_address(address, setting=setting, missing=missing)


def _local() -> Caller:
    return LOCAL
