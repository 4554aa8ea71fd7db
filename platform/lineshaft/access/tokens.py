"""API tokens: a secret that is shown once, of which only the digest is kept."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from lineshaft.access.actors import token_name
from lineshaft.access.kept import Kept
from lineshaft.access.principal import Principal, Role
from lineshaft.clock import Clock
from lineshaft.errors import UnauthenticatedError

PREFIX = "lst_"
"""How a token begins, so that those who find one know what it is."""
REFRESH_S = 1.0
"""How often a server reads the tokens; a revoked one is refused at most this, and the time of one query, later."""
_NEW = "ask an administrator of Lineshaft for a new one"


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """What is kept of a token; `person` is the human it belongs to, if it does. Times are int64 microseconds UTC."""

    id: str
    name: str
    digest: str
    grants: Mapping[str, Role]
    created_us: int
    created_by: str
    expires_us: int
    revoked_us: int | None = None
    revoked_by: str = ""
    person: str = ""
    principal: Principal = field(init=False, repr=False, compare=False)  # whom it stands for, made once

    def __post_init__(self) -> None:
        """Make the principal: every call asks for it."""
        told = token_name(person=self.person, made_by=self.created_by, token=self.id, name=self.name)
        known = Principal(name=told, grants=self.grants)
        object.__setattr__(self, "principal", known)

    def state(self, now_us: int) -> str:
        """Return `live`, `revoked` or `expired`."""
        if self.revoked_us is not None:
            return "revoked"
        return "live" if now_us < self.expires_us else "expired"


class Register(Protocol):
    """Where tokens are kept: `lineshaft.registry.tokens.TokenRegister`."""

    def by_digest(self) -> Mapping[str, Token]:
        """Return every token, expired and revoked ones too."""
        ...


def mint() -> str:
    """Return a new secret of 256 random bits; nothing slow is needed to hash what nobody can guess."""
    return PREFIX + secrets.token_urlsafe(32)


def digest_of(secret: str) -> str:
    """Return what is kept of a secret.

    >>> digest_of("lst_x")[:12]
    'c9a1265bfb24'
    """
    return hashlib.sha256(secret.encode()).hexdigest()


class Tokens:
    """The tokens of one server, read in the background."""

    def __init__(self, register: Register, *, clock: Clock, refresh_s: float = REFRESH_S) -> None:
        self._clock = clock
        self._kept = Kept(register.by_digest, what="tokens", every_s=refresh_s)

    def principal(self, secret: str) -> Principal:
        """Return whom a secret stands for; raises `UnauthenticatedError` for one unknown, revoked or expired."""
        token = self._kept.get().get(digest_of(secret))
        if token is None:
            raise UnauthenticatedError("nobody knows this token", fix=_NEW)
        if (state := token.state(self._clock.now_us())) != "live":
            raise UnauthenticatedError(f"token {token.id} is {state}", fix=_NEW)
        return token.principal

    def close(self) -> None:
        """Read no more."""
        self._kept.close()
