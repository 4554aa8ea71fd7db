"""A server that other machines can reach, put together from settings alone, as an operator does it."""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import trustme

from lineshaft.access.principal import Role
from lineshaft.access.tokens import Tokens
from lineshaft.errors import InputError, UnauthenticatedError, UnavailableError
from lineshaft.registry.tokens import TokenRegister
from lineshaft.serving.client import Client
from lineshaft.serving.feast_http import feast_http
from lineshaft.serving.server import background_server
from lineshaft.settings import Settings
from lineshaft.wiring import Parts, connect, door, handlers

HOUR_US = 3_600_000_000


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Parts]:
    """Connect the parts of an empty home."""
    with connect(Settings(home=tmp_path_factory.mktemp("home")), keep_online=False) as connected:
        yield connected


def with_settings(parts: Parts, **settings: Any) -> Parts:
    """Return the same parts with other settings."""
    changed = parts.settings.model_copy(update=settings)
    values = {name: getattr(parts, name) for name in Parts.__slots__}
    return Parts(**{**values, "settings": changed})


def test_an_open_address_is_served_encrypted_to_who_has_a_token(parts: Parts, tmp_path: Path) -> None:
    """Both ports; the token made before the start is known at once."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    issued = authority.issue_cert("localhost")
    issued.cert_chain_pems[0].write_to_path(str(tmp_path / "cert.pem"))
    issued.private_key_pem.write_to_path(str(tmp_path / "key.pem"))
    settings = parts.settings
    register = TokenRegister(settings.database(), project=settings.project, clock=parts.clock)
    _, secret = register.create("t", {"x": Role.READER}, lives_us=HOUR_US, actor="test")
    register.close()
    guarded = with_settings(parts, auth_tokens=True, tls_cert=tmp_path / "cert.pem", tls_key=tmp_path / "key.pem")

    with (
        door(guarded) as entrance,
        background_server(handlers(guarded), "0.0.0.0:0", door=entrance) as grpc,
        feast_http(handlers(guarded), "0.0.0.0:0", door=entrance) as http,
    ):
        address, ca = f"localhost:{grpc.rpartition(':')[2]}", tmp_path / "ca.pem"
        with Client(address, token=secret, ca=ca) as client:
            assert client.services() == []
        with Client(address, ca=ca) as client, pytest.raises(UnauthenticatedError):
            client.services()
        with Client(address) as client, pytest.raises(UnavailableError):
            client.services()
        url = f"{entrance.scheme}://localhost:{http.rpartition(':')[2]}/get-online-features"
        asked: dict[str, Any] = {"verify": ssl.create_default_context(cafile=str(ca)), "json": {}}
        assert httpx.post(url, **asked).status_code == 401
        assert httpx.post(url, headers={"authorization": f"Bearer {secret}"}, **asked).status_code == 400


def test_settings_make_the_guard_or_none(parts: Parts, tmp_path: Path) -> None:
    """Nothing set is no guard; a provider alone is one; rates are asked where they are set."""
    with door(parts) as entrance:
        assert (entrance.tls, entrance.guard) == (None, None)
    (tmp_path / "keys.json").write_text(json.dumps({"keys": []}))
    oidc = {"oidc_issuer": "https://id.example", "oidc_audience": "a", "oidc_keys": str(tmp_path / "keys.json")}
    with pytest.raises(InputError, match="holds no set of keys"), door(with_settings(parts, **oidc)):
        pass
    with (
        pytest.raises(InputError, match="this must be set"),
        door(with_settings(parts, **oidc | {"oidc_audience": ""})),
    ):
        pass


@pytest.mark.parametrize("half", [{"tls_cert": Path("c")}, {"tls_key": Path("k")}, {"tls_client_ca": Path("a")}])
def test_half_of_a_certificate_is_refused(parts: Parts, half: dict[str, Path]) -> None:
    """Nobody should believe that a connection is encrypted because one of two settings is there."""
    with pytest.raises(InputError, match="needs both a certificate and its key"), door(with_settings(parts, **half)):
        pass


def test_a_door_leaves_no_thread_behind(parts: Parts) -> None:
    """What keeps tokens fresh ends with it."""
    with door(with_settings(parts, auth_tokens=True)) as entrance:
        assert entrance.guard is not None
        assert isinstance(vars(entrance.guard)["_tokens"], Tokens)
        kept = vars(vars(entrance.guard)["_tokens"])["_kept"]
        assert vars(kept)["_thread"].is_alive()
    assert not vars(kept)["_thread"].is_alive()
