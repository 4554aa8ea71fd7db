"""Tokens of an OpenID provider: signed JSON Web Tokens (RFC 7519), of which no claim is read before the signature."""

from __future__ import annotations

import hashlib
import http.client
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import jwt

from lineshaft.access.kept import Kept
from lineshaft.access.principal import Principal, grants_of
from lineshaft.clock import Clock
from lineshaft.errors import InputError, UnauthenticatedError, UnavailableError

KEYS_S = 300.0
"""How often the provider's keys are read; also when a token names one that is not known, at most each `_PAUSE_S`."""
BELIEVED_US = 30_000_000
"""For how long a token that was checked is believed without another check, if it does not expire before."""
PUBLIC_KEY_ALGORITHMS = frozenset(
    ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
)
"""Signatures that nobody can make who knows only what the provider publishes."""
PREFIX = "lineshaft:"
_LEEWAY_S = 5.0
_PAUSE_US = 5_000_000
_MOST_BELIEVED = 4096
_MOST_BYTES = 1 << 20
_TIMEOUT_S = 5.0
_MOST_SUBJECT = 120
_FIX = "sign in again, and send the token that the provider made for Lineshaft"


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """Whose tokens are taken, for whom, signed how, and which claim holds the grants."""

    issuer: str
    audience: str
    keys: str
    algorithms: Sequence[str] = ("RS256", "ES256")
    claim: str = "groups"

    def __post_init__(self) -> None:
        """Refuse what would let anybody in."""
        weak = set(self.algorithms) - PUBLIC_KEY_ALGORITHMS
        if weak or not self.algorithms:
            what = f"{', '.join(sorted(weak)) or 'nothing'} is no signature by a public key"
            fix = f"choose among {', '.join(sorted(PUBLIC_KEY_ALGORITHMS))}"
            raise InputError(what, where="LINESHAFT_OIDC_ALGORITHMS", fix=fix)
        needed = {
            "LINESHAFT_OIDC_AUDIENCE": self.audience,
            "LINESHAFT_OIDC_KEYS": self.keys,
            "LINESHAFT_OIDC_CLAIM": self.claim,
        }
        for name, value in needed.items():
            if not value:
                raise InputError("with an OpenID provider this must be set", where=name, fix=f"set {name}")
        if "://" in self.keys and not self.keys.startswith("https://"):
            what = "keys that are not read over TLS may be anybody's"
            raise InputError(what, where="LINESHAFT_OIDC_KEYS", fix="give an https:// URL or a file")


class OpenId:
    """Checks tokens of one provider."""

    def __init__(self, provider: Provider, *, clock: Clock) -> None:
        self._provider, self._clock = provider, clock
        remote = "://" in provider.keys
        self._keys = Kept(
            lambda: read_keys(provider.keys), what="keys of the OpenID provider", every_s=KEYS_S, patient=remote
        )
        self._hurried_us = 0
        self._believed: dict[bytes, tuple[int, Principal]] = {}

    def principal(self, secret: str) -> Principal:
        """Return whom a token stands for; raises `UnauthenticatedError` for one that does not prove it."""
        digest, now_us = hashlib.sha256(secret.encode()).digest(), self._clock.now_us()
        believed = self._believed.get(digest)
        if believed is not None and now_us < believed[0]:
            return believed[1]
        claims = self._claims(secret, now_us)
        # Where no human logged in, the subject is the client itself (RFC 9068, section 2.2).
        kind = "oidc service" if claims["sub"] == claims.get("client_id", claims.get("azp")) else "oidc"
        principal = Principal(
            name=f"{kind} {str(claims['sub'])[:_MOST_SUBJECT]}", grants=_grants(claims.get(self._provider.claim))
        )
        if len(self._believed) >= _MOST_BELIEVED:
            self._believed.clear()
        self._believed[digest] = min(now_us + BELIEVED_US, int(claims["exp"]) * 1_000_000), principal
        return principal

    def close(self) -> None:
        """Read keys no more."""
        self._keys.close()

    def _claims(self, secret: str, now_us: int) -> Mapping[str, Any]:
        """Return what a token says, its signature checked before anything of that is read."""
        provider = self._provider
        try:
            head = jwt.get_unverified_header(secret)
            if head.get("alg") not in provider.algorithms:
                raise UnauthenticatedError("the token is not signed in a way that is taken here", fix=_FIX)
            key = self._keys.get().get(str(head.get("kid")))
            if key is None:
                self._look_for_new_keys(now_us)
                raise UnauthenticatedError(
                    "the token is signed with a key that the provider does not publish", fix=_FIX
                )
            claims: Mapping[str, Any] = jwt.decode(
                secret,
                key,
                algorithms=list(provider.algorithms),
                issuer=provider.issuer,
                audience=provider.audience,
                leeway=_LEEWAY_S,
                options={"require": ["exp", "iss", "aud", "sub"]},
            )
        except (jwt.PyJWTError, ValueError, TypeError) as error:  # names what is wrong, never what it says
            raise UnauthenticatedError(f"the token proves nothing: {type(error).__name__}", fix=_FIX) from None
        return claims

    def _look_for_new_keys(self, now_us: int) -> None:
        if now_us - self._hurried_us >= _PAUSE_US:
            self._hurried_us = now_us
            self._keys.hurry()


def read_keys(place: str) -> dict[str, jwt.PyJWK]:
    """Return the public keys of a JWKS by their ids, from a file or an https:// URL; secret keys are left out.

    Raises `InputError` for what is no such place or set, `UnavailableError` for a URL that does not answer.
    """
    where, remote = "LINESHAFT_OIDC_KEYS", "://" in place
    try:
        text = _fetched(place) if remote else Path(place).read_bytes()
    except (OSError, http.client.HTTPException) as error:
        kind = UnavailableError if remote else InputError
        raise kind(f"{place} cannot be read: {error}", where=where, fix="check the URL or the path") from error
    try:
        found = [key for key in json.loads(text)["keys"] if "kid" in key and key.get("kty") in ("RSA", "EC", "OKP")]
        keys = {str(key["kid"]): jwt.PyJWK(key) for key in found}
    except (ValueError, KeyError, TypeError, AttributeError, jwt.PyJWTError) as error:
        what = f"{place} holds no set of keys: {type(error).__name__}"
        raise InputError(what, where=where, fix="name a JWKS, such as the jwks_uri of the provider") from error
    if not keys:
        raise InputError(f"{place} holds no set of keys: none with an id", where=where, fix="name a JWKS")
    return keys


def _fetched(url: str) -> bytes:
    """Return what a URL answers; it is read over TLS, without following it elsewhere."""
    parts = urlsplit(url)
    connection = http.client.HTTPSConnection(parts.hostname or "", parts.port, timeout=_TIMEOUT_S)
    try:
        connection.request("GET", f"{parts.path or '/'}{'?' + parts.query if parts.query else ''}")
        response = connection.getresponse()
        if response.status != http.client.OK:
            raise http.client.HTTPException(f"status {response.status}")
        return response.read(_MOST_BYTES)
    finally:
        connection.close()


def _grants(claim: object) -> dict[str, Any]:
    """Return the grants in a claim; what is meant for others, or is none, gives nothing."""
    texts = claim if isinstance(claim, list) else [claim]
    grants: dict[str, Any] = {}
    for text in texts:
        if isinstance(text, str) and text.startswith(PREFIX):
            try:
                found = grants_of([text.removeprefix(PREFIX)])
            except InputError:
                continue
            grants = {**grants, **{team: max(role, grants.get(team, role)) for team, role in found.items()}}
    return grants
