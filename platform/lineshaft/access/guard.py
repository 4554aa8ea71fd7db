"""The one place where a call is let in or not, whatever it came over."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Protocol

from lineshaft.access.principal import HOST, STRANGER, Owned, Principal, Role
from lineshaft.access.rules import RULES
from lineshaft.access.tokens import PREFIX
from lineshaft.errors import ForbiddenError, LineshaftError, UnauthenticatedError

_HOW = "send the metadata `authorization: Bearer <token>`; `Client(address, token=…)` does"


class Knows(Protocol):
    """Whoever tells by what is shown who asks: `Tokens`, `OpenId`."""

    def principal(self, secret: str) -> Principal:
        """Return who it is; raises `UnauthenticatedError`."""
        ...


class Paces(Protocol):
    """Whoever says how often somebody may ask: `Rates`."""

    def take(self, name: str) -> None:
        """Count one call; raises `RateError`."""
        ...


class Notes(Protocol):
    """Where denials are written down: `Denials`."""

    def note(self, *, who: str, peer: str, what: str, why: str) -> None:
        """Write one down."""
        ...


class Guard:
    """Rules, those who know tokens, rates, and the record of who was sent away."""

    def __init__(
        self,
        *,
        denials: Notes,
        tokens: Knows | None = None,
        openid: Knows | None = None,
        rates: Paces | None = None,
        rules: Mapping[str, Role] = RULES,
    ) -> None:
        self._denials, self._tokens, self._openid, self._rates, self._rules = denials, tokens, openid, rates, rules

    def admit(self, method: str, authorization: str | None, *, peer: str = "") -> Caller:
        """Return who calls a method, or raise; denials are noted, with no part of what was shown.

        authorization: as the header of that name has it. peer: where the call comes from.

        Raises
        ------
        UnauthenticatedError
            If nothing is shown, or what is shown is unknown, expired, revoked, altered or for somebody else.
        ForbiddenError
            If no rule lets anybody call this, or the caller has the role nowhere.
        RateError
            If the caller asks more often than agreed.
        """
        principal = STRANGER
        try:
            need = self._rules.get(method)
            if need is None:
                raise ForbiddenError(f"no rule lets anybody call {method}", fix="add it to lineshaft/access/rules.py")
            if need is Role.ANYONE:
                return Caller(principal=STRANGER, method=method, peer=peer, authorization=None, guard=self)
            principal = self._known(authorization)
            if principal.highest < need:
                role = need.name.lower()
                raise ForbiddenError(
                    f"{principal.name} is {role} of no team", fix=f"ask for a grant such as team:{role}"
                )
            if self._rates is not None:
                self._rates.take(principal.name)
        except LineshaftError as error:
            self.noted(error, who=principal.name, method=method, peer=peer)
            raise
        return Caller(principal=principal, method=method, peer=peer, authorization=authorization, guard=self)

    def noted(self, error: LineshaftError, *, who: str, method: str, peer: str) -> None:
        """Write a denial down."""
        self._denials.note(who=who, peer=peer, what=method, why=f"{error.code} {error.what}")

    def _known(self, authorization: str | None) -> Principal:
        if not authorization:
            raise UnauthenticatedError("no token is shown", fix=_HOW)
        scheme, _, secret = authorization.partition(" ")
        if scheme.lower() != "bearer" or not secret:
            raise UnauthenticatedError("what is shown is no bearer token", fix=_HOW)
        knows = self._tokens if secret.startswith(PREFIX) else self._openid
        if knows is None:
            raise UnauthenticatedError("tokens of this kind are not taken here", fix=_HOW)
        return knows.principal(secret)


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who makes one call, let in."""

    principal: Principal
    method: str
    peer: str = ""
    authorization: str | None = None
    guard: Guard | None = None

    def may_read(self, thing: Owned) -> bool:
        """Tell whether the caller may read what belongs to a team."""
        return self.principal.may_read(thing)

    def must_read(self, thing: Owned) -> None:
        """Raise `ForbiddenError`, and note it, unless the caller may read what belongs to a team."""
        if self.principal.may_read(thing):
            return
        raise self._noted(
            ForbiddenError(
                f"{self.principal.name} may not read {thing.name!r}, which belongs to team {thing.team!r}",
                fix=f"ask {thing.team!r} to name your team in its tag readers, or ask for a grant {thing.team}:reader",
            )
        )

    def must_write(self, name: str, teams: Iterable[str]) -> None:
        """Raise `ForbiddenError`, and note it, unless the caller may write for each team that reads what comes."""
        shut = sorted(team for team in teams if self.principal.role_in(team) < Role.WRITER)
        if shut:
            raise self._noted(
                ForbiddenError(
                    f"{self.principal.name} may not write {name!r}, which team {shut[0]!r} reads",
                    fix=f"ask for a grant such as {shut[0]}:writer",
                )
            )

    def _noted(self, error: ForbiddenError) -> ForbiddenError:
        if self.guard is not None:
            self.guard.noted(error, who=self.principal.name, method=self.method, peer=self.peer)
        return error

    def again(self) -> Caller:
        """Ask anew, and return who it is by now: a stream lives longer than a token may, and each answer counts."""
        if self.guard is None:
            return self
        return self.guard.admit(self.method, self.authorization, peer=self.peer)


LOCAL = Caller(principal=HOST, method="")
"""The caller of a server without a guard."""
CALLER: ContextVar[Caller] = ContextVar("CALLER")
"""Who makes the call that is being answered, set by the edge that admitted it."""
