"""What stands between the network and the handlers."""

from __future__ import annotations

from dataclasses import dataclass

from lineshaft.serving.addresses import refuse_open_address
from lineshaft.serving.tls import Tls


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """Encryption of connections. By default there is nothing: then only this machine is served."""

    tls: Tls | None = None

    def refuse_unguarded(self, address: str, *, setting: str = "LINESHAFT_GRPC_ADDRESS") -> None:
        """Raise `InputError` for an address that other machines can reach unless everything is set."""
        missing = {"authentication": "put a proxy that authenticates in front of it"}
        if self.tls is None:
            missing["encryption"] = "set LINESHAFT_TLS_CERT and LINESHAFT_TLS_KEY"
        refuse_open_address(address, setting=setting, missing=missing)
