"""OpenID tokens over time: keys change, checks are remembered; settings that let anybody in are refused."""

from __future__ import annotations

import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import jwt
import pytest
import trustme
from cryptography.hazmat.primitives.asymmetric import ec

from lineshaft.access.actors import actor_of
from lineshaft.access.openid import BELIEVED_US, OpenId, Provider, read_keys
from lineshaft.access.principal import Role
from lineshaft.clock import ManualClock, SystemClock
from lineshaft.errors import InputError, UnauthenticatedError, UnavailableError

NOW = SystemClock().now_us() // 1_000_000
DAY_S = 86_400
KEYS = {name: ec.generate_private_key(ec.SECP256R1()) for name in ("old", "new")}


def published(*names: str) -> str:
    """Return what a provider publishes of its keys."""
    keys = [json.loads(jwt.algorithms.ECAlgorithm.to_jwk(KEYS[name].public_key())) | {"kid": name} for name in names]
    return json.dumps({"keys": keys})


def signed(kid: str = "old", **claims: Any) -> str:
    """Return a token of the provider."""
    said = {"iss": "i", "aud": "a", "sub": "ana", "exp": NOW + DAY_S, "groups": ["lineshaft:x:reader"], **claims}
    return jwt.encode(said, KEYS[kid], algorithm="ES256", headers={"kid": kid})


@pytest.fixture
def clock() -> ManualClock:
    """Return a clock that stands at the present."""
    return ManualClock(time_us=NOW * 1_000_000)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return a file with the old key."""
    file = tmp_path / "keys.json"
    file.write_text(published("old"))
    return file


@pytest.fixture
def openid(file: Path, clock: ManualClock) -> Iterator[OpenId]:
    """Return the checks of a provider whose keys lie in a file."""
    made = OpenId(Provider(issuer="i", audience="a", keys=str(file)), clock=clock)
    yield made
    made.close()


def soon(holds: Callable[[], object]) -> bool:
    """Tell whether something comes to pass without an error within two seconds."""
    end = time.monotonic() + 2.0
    while time.monotonic() < end:
        try:
            holds()
        except UnauthenticatedError:
            time.sleep(0.01)
        else:
            return True
    return False


def test_a_key_that_was_not_known_is_looked_for(openid: OpenId, file: Path) -> None:
    """The provider goes over to a new key: the first caller is refused, the next ones are not."""
    file.write_text(published("old", "new"))
    with pytest.raises(UnauthenticatedError, match="a key that the provider does not publish"):
        openid.principal(signed("new"))
    assert soon(lambda: openid.principal(signed("new")))
    assert openid.principal(signed("old")).grants == {"x": Role.READER}


def test_strangers_keys_do_not_make_it_ask_all_the_time(openid: OpenId, file: Path, clock: ManualClock) -> None:
    """A flood of tokens of unknown keys is one question in five seconds."""
    for _ in range(2):
        with pytest.raises(UnauthenticatedError):
            openid.principal(signed("new"))
        time.sleep(0.1)
        file.write_text(published("old", "new"))
    assert not soon(lambda: openid.principal(signed("new")))
    clock.advance(seconds=5.0)
    assert soon(lambda: openid.principal(signed("new")))


def test_what_was_checked_is_believed_for_a_while(openid: OpenId, file: Path, clock: ManualClock) -> None:
    """A key that is taken back ends its tokens when they are checked again."""
    token = signed("old")
    first = openid.principal(token)
    file.write_text(published("new"))
    assert soon(lambda: openid.principal(signed("new")))

    assert openid.principal(token) is first
    clock.advance(seconds=BELIEVED_US / 1e6)
    with pytest.raises(UnauthenticatedError, match="a key that the provider does not publish"):
        openid.principal(token)


@pytest.mark.parametrize(("claims", "person"), [({}, "oidc ana"), ({"azp": "app"}, "oidc ana"), ({"azp": "ana"}, "")])
def test_a_client_that_logs_in_for_itself_is_no_person(openid: OpenId, claims: dict[str, str], person: str) -> None:
    """Where the subject is the client, no human logged in: it cannot be the other person of an approval."""
    assert actor_of(openid.principal(signed(**claims)).name).person == person


def test_what_was_checked_is_not_believed_beyond_its_end(openid: OpenId, clock: ManualClock) -> None:
    """A token that ends sooner than that is checked again from its end on, also one that tells its end as text."""
    clock.time_us = SystemClock().now_us()
    end = clock.time_us // 1_000_000 + 2
    for told in (end, str(end)):
        clock.time_us = end * 1_000_000 - 1
        token = signed(exp=told)
        first = openid.principal(token)
        assert openid.principal(token) is first
        clock.time_us += 1
        assert openid.principal(token) is not first


def test_the_name_of_a_subject_is_cut(openid: OpenId) -> None:
    """It stands in records and in memory."""
    assert len(openid.principal(signed(sub="n" * 5000)).name) == len("oidc ") + 120


def test_of_overlapping_groups_the_highest_role_counts(openid: OpenId) -> None:
    """In either order; one group need not be in a list."""
    for groups in (["lineshaft:x:admin", "lineshaft:x:reader"], ["lineshaft:x:reader", "lineshaft:x:admin"]):
        assert openid.principal(signed(groups=groups)).grants == {"x": Role.ADMIN}
    assert openid.principal(signed(groups="lineshaft:y:writer")).grants == {"y": Role.WRITER}


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"algorithms": ["HS256"]}, "ALGORITHMS"),
        ({"algorithms": ["RS256", "none"]}, "ALGORITHMS"),
        ({"algorithms": []}, "ALGORITHMS"),
        ({"audience": ""}, "AUDIENCE"),
        ({"keys": ""}, "KEYS"),
        ({"keys": "http://id.example/keys"}, "KEYS"),
        ({"claim": ""}, "CLAIM"),
    ],
    ids=str,
)
def test_settings_that_would_let_anybody_in_are_refused(change: dict[str, Any], where: str) -> None:
    """No signature by a shared secret, no tokens for others, no keys that anybody on the way could replace."""
    with pytest.raises(InputError) as refused:
        Provider(**{"issuer": "i", "audience": "a", "keys": "keys.json", **change})
    assert refused.value.where == f"LINESHAFT_OIDC_{where}"


@pytest.mark.parametrize("text", ["", "[]", '{"keys": 3}', '{"keys": [{"kty": "RSA", "kid": "k"}]}', '{"keys": ["x"]}'])
def test_a_file_without_keys_stops_the_start(file: Path, text: str) -> None:
    """A server that could check nobody says so at once."""
    file.write_text(text)
    with pytest.raises(InputError, match="holds no set of keys"):
        read_keys(str(file))
    with pytest.raises(InputError, match="cannot be read"):
        read_keys(str(file.with_name("missing.json")))


@pytest.fixture
def provider(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, dict[str, tuple[int, str]]]]:
    """Serve pages over TLS, as a provider does; yield its address and the pages."""
    pages: dict[str, tuple[int, str]] = {}

    class Pages(BaseHTTPRequestHandler):
        """Answers what is written down."""

        def do_GET(self) -> None:
            """Answer one page."""
            status, text = pages.get(self.path, (404, ""))
            self.send_response(status)
            if status == 302:
                self.send_header("Location", text)
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    server = ThreadingHTTPServer(("127.0.0.1", 0), Pages)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield f"https://localhost:{server.server_port}", pages
    server.shutdown()
    server.server_close()
    thread.join()


def test_keys_are_read_over_tls_and_from_nowhere_else(
    provider: tuple[str, dict[str, tuple[int, str]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page that sends us elsewhere is not followed; a server that nobody vouches for is not asked."""
    address, pages = provider
    pages["/keys?v=1"] = (200, published("old"))
    pages["/away"] = (302, f"{address}/keys?v=1")

    assert list(read_keys(f"{address}/keys?v=1")) == ["old"]
    for path in ("/away", "/missing"):
        with pytest.raises(UnavailableError, match="cannot be read: status"):
            read_keys(address + path)
    monkeypatch.delenv("SSL_CERT_FILE")
    with pytest.raises(UnavailableError, match="CERTIFICATE_VERIFY_FAILED"):
        read_keys(f"{address}/keys?v=1")


def test_a_provider_that_is_away_does_not_stop_the_start(
    provider: tuple[str, dict[str, tuple[int, str]]], clock: ManualClock
) -> None:
    """Its callers are told to wait, and let in once it is back."""
    address, pages = provider
    openid = OpenId(Provider(issuer="i", audience="a", keys=f"{address}/keys"), clock=clock)
    with pytest.raises(UnavailableError, match="keys of the OpenID provider could not be read"):
        openid.principal(signed())
    openid.close()
    pages["/keys"] = (200, published("old"))
    openid = OpenId(Provider(issuer="i", audience="a", keys=f"{address}/keys"), clock=clock)
    assert openid.principal(signed()).name == "oidc ana"
    openid.close()
