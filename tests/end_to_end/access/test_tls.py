"""Encrypted connections on real sockets: who is let in, who is not, and what happens when certificates change."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import trustme

from lineshaft.clock import ManualClock
from lineshaft.errors import EnvironmentFault, InputError, UnavailableError
from lineshaft.registry.catalog_values import FixedCatalog
from lineshaft.serving.client import Client
from lineshaft.serving.door import Door
from lineshaft.serving.feast_http import feast_http
from lineshaft.serving.features import FeatureHandler, Plans, TrainingSetHandler
from lineshaft.serving.server import Handlers, background_server
from lineshaft.serving.tls import Tls


@pytest.fixture(scope="module")
def handlers() -> Handlers:
    """Return handlers with nothing behind them."""
    nothing: Any = None
    plans = Plans(catalog=FixedCatalog())
    return Handlers(
        plans=plans,
        features=FeatureHandler(plans=plans, online=nothing, clock=ManualClock()),
        training=TrainingSetHandler(plans=plans, offline=nothing),
    )


def issue(authority: trustme.CA, folder: Path, name: str) -> tuple[Path, Path]:
    """Write a certificate for a name and its key; return where they lie."""
    issued = authority.issue_cert(name)
    cert, key = folder / f"{name}.pem", folder / f"{name}.key"
    for file, blob in ((cert, issued.cert_chain_pems[0]), (key, issued.private_key_pem)):
        part = file.with_suffix(".part")
        part.write_bytes(blob.bytes())
        part.replace(file)
    return cert, key


@pytest.fixture
def authority(tmp_path: Path) -> trustme.CA:
    """Return an authority, its own certificate written to `ca.pem`."""
    made = trustme.CA()
    made.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    return made


@pytest.fixture
def mutual(handlers: Handlers, authority: trustme.CA, tmp_path: Path) -> Iterator[str]:
    """Serve those who show a certificate of the authority."""
    cert, key = issue(authority, tmp_path, "localhost")
    door = Door(tls=Tls(cert=cert, key=key, client_ca=tmp_path / "ca.pem"))
    with background_server(handlers, "localhost:0", door=door) as bound:
        yield bound


def test_an_encrypted_server_answers_who_trusts_its_authority(
    handlers: Handlers, authority: trustme.CA, tmp_path: Path
) -> None:
    """The server's certificate is checked: neither an unknown authority nor a plain connection gets an answer."""
    cert, key = issue(authority, tmp_path, "localhost")
    trustme.CA().cert_pem.write_to_path(str(tmp_path / "other.pem"))

    with background_server(handlers, "localhost:0", door=Door(tls=Tls(cert=cert, key=key))) as bound:
        with Client(bound, ca=tmp_path / "ca.pem") as client:
            assert client.services() == []
        for stranger in ({"ca": tmp_path / "other.pem"}, {"ca": "system"}, {}):
            with Client(bound, timeout_s=2.0, **stranger) as client, pytest.raises(UnavailableError):
                client.services()


def test_a_certificate_for_another_name_is_not_trusted(
    handlers: Handlers, authority: trustme.CA, tmp_path: Path
) -> None:
    """Whoever holds some certificate of the authority cannot stand in for the server."""
    cert, key = issue(authority, tmp_path, "elsewhere.example")

    with (
        background_server(handlers, "localhost:0", door=Door(tls=Tls(cert=cert, key=key))) as bound,
        Client(bound, ca=tmp_path / "ca.pem", timeout_s=2.0) as client,
        pytest.raises(UnavailableError),
    ):
        client.services()


def test_a_caller_with_a_certificate_is_let_in(mutual: str, authority: trustme.CA, tmp_path: Path) -> None:
    """Both sides show who they are."""
    cert, key = issue(authority, tmp_path, "caller.example")

    with Client(mutual, ca=tmp_path / "ca.pem", cert=cert, key=key) as client:
        assert client.services() == []


@pytest.mark.parametrize("shows", ["nothing", "another authority's"])
def test_a_caller_without_a_certificate_of_the_authority_is_not(mutual: str, shows: str, tmp_path: Path) -> None:
    """No certificate, or somebody else's: no connection, so no call."""
    cert, key = issue(trustme.CA(), tmp_path, "stranger.example") if shows != "nothing" else ("", "")

    with (
        Client(mutual, ca=tmp_path / "ca.pem", cert=cert, key=key, timeout_s=2.0) as client,
        pytest.raises(UnavailableError),
    ):
        client.services()


def test_a_new_certificate_serves_new_connections_without_a_restart(
    handlers: Handlers, authority: trustme.CA, tmp_path: Path
) -> None:
    """Old connections go on, new ones see the new certificate; files that do not fit leave the last good ones."""
    cert, key = issue(authority, tmp_path, "localhost")
    renewed = trustme.CA()
    renewed.cert_pem.write_to_path(str(tmp_path / "renewed.pem"))

    with (
        background_server(handlers, "localhost:0", door=Door(tls=Tls(cert=cert, key=key))) as bound,
        Client(bound, ca=tmp_path / "ca.pem") as before,
    ):
        assert before.services() == []
        issue(renewed, tmp_path, "localhost")
        with Client(bound, ca=tmp_path / "renewed.pem") as client:
            assert client.services() == []
        key.write_text("half of a ke")
        with Client(bound, ca=tmp_path / "renewed.pem", timeout_s=2.0) as client:
            assert client.services() == []
        assert before.services() == []


def test_http_is_encrypted_by_the_same_files(handlers: Handlers, authority: trustme.CA, tmp_path: Path) -> None:
    """Who trusts the authority and shows a certificate of it is answered, also with a new one; nobody else is."""
    cert, key = issue(authority, tmp_path, "localhost")
    door = Door(tls=Tls(cert=cert, key=key, client_ca=tmp_path / "ca.pem"))
    trusting = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
    showing = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
    showing.load_cert_chain(*issue(authority, tmp_path, "caller.example"))

    with feast_http(handlers, "localhost:0", door=door) as bound:
        url = f"https://localhost:{bound.rpartition(':')[2]}/health"
        assert httpx.get(url, verify=showing).status_code == 200
        for other_url, context in ((url, trusting), (url.replace("https", "http"), showing)):
            with pytest.raises(httpx.TransportError):
                httpx.get(other_url, verify=context)
        before = peer_certificate(url, showing)
        issue(authority, tmp_path, "localhost")
        assert peer_certificate(url, showing) != before


def peer_certificate(url: str, context: ssl.SSLContext) -> bytes | None:
    """Return the certificate that a server shows to a new connection."""
    port = int(url.rpartition(":")[2].partition("/")[0])
    with socket.create_connection(("localhost", port)) as plain:
        connection = context.wrap_socket(plain, server_hostname="localhost")
        with connection:
            return connection.getpeercert(binary_form=True)


@pytest.mark.parametrize("fault", ["no such file", "no PEM", "another key", "locked key"])
def test_files_that_cannot_be_used_stop_the_start(
    handlers: Handlers, authority: trustme.CA, tmp_path: Path, fault: str
) -> None:
    """A server does not start in the clear, or with a key that is not its certificate's."""
    cert, key = issue(authority, tmp_path, "localhost")
    if fault == "no such file":
        cert.unlink()
    elif fault == "no PEM":
        cert.write_text("certificate")
    elif fault == "another key":
        issue(trustme.CA(), tmp_path, "other.example")[1].replace(key)
    else:
        key.write_text("-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n")

    with (
        pytest.raises(EnvironmentFault, match="the TLS files cannot be used") as refused,
        background_server(handlers, "localhost:0", door=Door(tls=Tls(cert=cert, key=key))),
    ):
        pass
    assert str(cert) in refused.value.where
    assert refused.value.fix


def test_a_clients_files_are_read_before_it_connects(tmp_path: Path) -> None:
    """A certificate goes with its key and with an authority, and a missing file is named."""
    halves: list[dict[str, Any]] = [{"cert": "c", "ca": "a"}, {"key": "k", "ca": "a"}, {"cert": "c", "key": "k"}]
    for given in halves:
        with pytest.raises(InputError, match="needs its key and the server's authority"):
            Client("localhost:1", **given)
    with pytest.raises(InputError, match=r"missing\.pem cannot be read"):
        Client("localhost:1", ca=tmp_path / "missing.pem")


def test_a_token_is_not_sent_where_others_can_read_it() -> None:
    """Without encryption it goes to this machine alone."""
    with pytest.raises(InputError, match="where others can read it"):
        Client("features.example:7700", token="secret")
    Client("features.example:7700", token="secret", ca="system").close()
    Client("127.0.0.1:7700", token="secret").close()
