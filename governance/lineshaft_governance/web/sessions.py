"""Who reads the page: by the token they signed in with, asked anew at every request, so that a revoked one ends it."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from lineshaft.access.guard import LOCAL, Caller, Guard
from lineshaft.clock import Clock
from lineshaft.errors import ForbiddenError, UnauthenticatedError

LASTS_US = 8 * 3_600_000_000
"""A shift: then one signs in again."""
_MOST = 10_000
_COOKIE, _KNOCK = "lineshaft_session", "lineshaft_sign_in"
_FIX = "load the page again, and send the form from there"


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """Somebody who signed in: what they showed is held in memory, and nowhere else."""

    authorization: str
    until_us: int


class Sessions:
    """The callers of one admin page. Without a guard there is one: this machine, which may read and change nothing.

    secure: the cookie travels over TLS only.
    """

    def __init__(self, guard: Guard | None, *, clock: Clock, secure: bool) -> None:
        self._guard, self._clock, self._secure = guard, clock, secure
        self._open: dict[str, Session] = {}
        self._key = secrets.token_bytes(32)

    @property
    def asked_for(self) -> bool:
        """Tell whether one has to sign in."""
        return self._guard is not None

    def caller(self, request: Request, rule: str) -> Caller:
        """Return who makes a request, let in by a rule; by the header of a machine, or by the cookie of a browser.

        Raises `UnauthenticatedError`, `ForbiddenError` or `RateError` as `Guard.admit` does.
        """
        if self._guard is None:
            return LOCAL
        shown = request.headers.get("authorization") or self._shown(request)
        return self._guard.admit(rule, shown, peer=_peer(request))

    def writing(self, request: Request, rule: str, given: str) -> Caller:
        """Return who changes something; raises `ForbiddenError` for a form that was not made for them."""
        caller = self.caller(request, rule)
        if self._guard is None:
            raise ForbiddenError(
                "this page asks nobody who they are, so it changes nothing",
                fix="set LINESHAFT_AUTH_TOKENS=true or LINESHAFT_OIDC_ISSUER and sign in, or use the command line",
            )
        if not hmac.compare_digest(self.form_key(request, caller).encode(), given.encode()):
            raise ForbiddenError("the form was not made for whoever sends it", fix=_FIX)
        return caller

    def form_key(self, request: Request, caller: Caller) -> str:
        """Return what a form carries to prove that this page made it for this caller (against CSRF)."""
        told = f"{request.cookies.get(_COOKIE, '')}|{caller.principal.name}"
        return hmac.new(self._key, told.encode(), hashlib.sha256).hexdigest()

    def new_word(self) -> str:
        """Return what one form of signing in carries."""
        return secrets.token_urlsafe(24)

    def knock(self, response: Response, word: str) -> None:
        """Give the browser the word of its form."""
        response.set_cookie(_KNOCK, word, max_age=3600, httponly=True, secure=self._secure, samesite="strict")

    def begin(self, request: Request, response: Response, *, rule: str, token: str, given: str) -> Caller:
        """Sign somebody in by a token.

        Raises `UnauthenticatedError` for one that is not known, `ForbiddenError` where the form was not ours.
        """
        knocked = request.cookies.get(_KNOCK, "")
        if not knocked or not hmac.compare_digest(knocked.encode(), given.encode()):
            raise ForbiddenError("the form of signing in is old, or was not made here", fix=_FIX)
        if self._guard is None:
            return LOCAL
        authorization = f"Bearer {token.strip()}"
        caller = self._guard.admit(rule, authorization, peer=_peer(request))
        now_us, name = self._clock.now_us(), secrets.token_urlsafe(32)
        self._open = {key: one for key, one in self._open.items() if now_us < one.until_us}
        while len(self._open) >= _MOST:
            self._open.pop(next(iter(self._open)))
        self._open[_kept(name)] = Session(authorization=authorization, until_us=now_us + LASTS_US)
        lasts_s = LASTS_US // 1_000_000
        response.set_cookie(_COOKIE, name, max_age=lasts_s, httponly=True, secure=self._secure, samesite="lax")
        response.delete_cookie(_KNOCK)
        return caller

    def end(self, request: Request, response: Response) -> None:
        """Sign out."""
        self._open.pop(_kept(request.cookies.get(_COOKIE, "")), None)
        response.delete_cookie(_COOKIE)

    def _shown(self, request: Request) -> str | None:
        name = request.cookies.get(_COOKIE, "")
        session = self._open.get(_kept(name)) if name else None
        if session is None:
            return None
        if self._clock.now_us() >= session.until_us:
            raise UnauthenticatedError("the session is over", fix="sign in again")
        return session.authorization


def safe_path(text: str) -> str:
    r"""Return where to go after signing in: a page of ours, whatever a link says.

    >>> safe_path("/models?q=a"), safe_path("//evil.example"), safe_path("https://evil.example"), safe_path("/\\x")
    ('/models?q=a', '/', '/', '/')
    """
    ours = text.startswith("/") and not text.startswith(("//", "/\\")) and text.isprintable()
    return text if ours and not text.startswith("/sign-") else "/"


def _kept(name: str) -> str:
    """Return what is held of a cookie, so that memory gives nobody a session."""
    return hashlib.sha256(name.encode()).hexdigest()


def _peer(request: Request) -> str:
    return f"http:{request.client.host if request.client else ''}"
