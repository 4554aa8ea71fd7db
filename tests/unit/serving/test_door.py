"""What must stand between the network and a server before others may reach it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lineshaft.access.guard import LOCAL
from lineshaft.errors import InputError
from lineshaft.serving.door import Door
from lineshaft.serving.tls import Tls

TLS = Tls(cert=Path("cert.pem"), key=Path("key.pem"))
GUARD: Any = object()
OPEN = "0.0.0.0:7700"


@pytest.mark.parametrize(
    ("door", "missing", "settings"),
    [
        (Door(), "no encryption and no authentication", ["LINESHAFT_TLS_CERT", "LINESHAFT_AUTH_TOKENS"]),
        (Door(tls=TLS), "no authentication", ["LINESHAFT_AUTH_TOKENS=true or LINESHAFT_OIDC_ISSUER"]),
        (Door(guard=GUARD), "no encryption", ["LINESHAFT_TLS_CERT and LINESHAFT_TLS_KEY"]),
    ],
)
def test_an_open_address_needs_encryption_and_a_guard(door: Door, missing: str, settings: list[str]) -> None:
    """Either alone is not enough; the error says which settings are missing, and the way back."""
    with pytest.raises(InputError, match="can be reached from other machines") as refused:
        door.refuse_unguarded(OPEN)

    assert refused.value.what.endswith(f"and there is {missing}")
    assert all(setting in refused.value.fix for setting in settings)
    assert refused.value.fix.endswith("or listen on 127.0.0.1")
    assert refused.value.where == "LINESHAFT_GRPC_ADDRESS"


def test_with_both_every_address_is_served_and_without_only_this_machines() -> None:
    """A guard on one's own machine is as good as one before the network."""
    Door(tls=TLS, guard=GUARD).refuse_unguarded(OPEN)
    for door in (Door(), Door(tls=TLS), Door(guard=GUARD)):
        door.refuse_unguarded("127.0.0.1:7700")
        door.refuse_unguarded("unix:/run/lineshaft")


def test_what_is_no_address_is_told_behind_any_door() -> None:
    """Also where everything is set."""
    with pytest.raises(InputError, match="is no address"):
        Door(tls=TLS, guard=GUARD).refuse_unguarded("nowhere", setting="LINESHAFT_HTTP_ADDRESS")


def test_behind_a_guard_nobody_is_the_host_by_accident() -> None:
    """A call that no guard let in has no caller at all, which ends it."""
    assert Door().caller() is LOCAL
    with pytest.raises(LookupError):
        Door(guard=GUARD).caller()
