"""What the page changes: who is signed in, who agreed to a version, what was found of an alert, what is let in."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import parse_qsl, quote

from jinja2 import Environment
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from lineshaft.access.guard import Caller
from lineshaft.access.principal import Role
from lineshaft.errors import ForbiddenError, InputError, LineshaftError, NotFoundError
from lineshaft.ops.model_release import consent
from lineshaft.ops.quarantine import find_held
from lineshaft.registry.alerts import Answer
from lineshaft.specs import Service
from lineshaft_governance.web.alerts import team_of, the_book
from lineshaft_governance.web.parts import WebParts
from lineshaft_governance.web.quarantine import HELD, teams_of
from lineshaft_governance.web.sessions import Sessions, safe_path

MOST_BYTES = 65_536
RELEASE, DISCARD = "/quarantine/{name}/release", "/quarantine/{name}/discard"
APPROVE = "/models/{name}/versions/{number:int}/approve"
FIND = "/alerts/{ident}/finding"
_WHAT = "every change has a reason"


@dataclass(frozen=True, slots=True, kw_only=True)
class Forms:
    """The endpoints behind forms."""

    parts: WebParts
    sessions: Sessions
    template: Environment

    def routes(self) -> list[tuple[str, str, Callable[[Request], Awaitable[Response]]]]:
        """Return method, path and endpoint of each."""
        return [
            ("GET", "/sign-in", self.door),
            ("POST", "/sign-in", self.sign_in),
            ("POST", "/sign-out", self.sign_out),
            ("POST", APPROVE, self.approve),
            ("POST", FIND, self.find),
            ("POST", RELEASE, self.release),
            ("POST", DISCARD, self.discard),
        ]

    async def door(self, request: Request) -> Response:
        """Show the form of signing in."""
        return self._door(request, safe_path(request.query_params.get("next", "/")), fault="", status=200)

    async def sign_in(self, request: Request) -> Response:
        """Sign in by a token, and go on to the page that was asked for."""
        given = await form(request)
        onward = safe_path(given.get("next", "/"))
        response: Response = RedirectResponse(onward, status_code=303)
        told = {"token": given.get("token", ""), "given": given.get("form_key", "")}
        try:
            self.sessions.begin(request, response, rule="WEB GET /", **told)
        except LineshaftError as error:
            return self._door(request, onward, fault=error.what, status=401)
        return response

    async def sign_out(self, request: Request) -> Response:
        """Sign out."""
        given = await form(request)
        self.sessions.writing(request, "WEB POST /sign-out", given.get("form_key", ""))
        response = RedirectResponse("/sign-in", status_code=303)
        self.sessions.end(request, response)
        return response

    async def approve(self, request: Request) -> Response:
        """Agree that a version may be promoted."""
        given = await form(request)
        caller = self.sessions.writing(request, f"WEB POST {APPROVE}", given.get("form_key", ""))
        name, number = request.path_params["name"], request.path_params["number"]
        await run_in_threadpool(self._approve, caller, name, number, given.get("reason", "").strip())
        return RedirectResponse(f"/models/{quote(name, safe='')}", status_code=303)

    async def find(self, request: Request) -> Response:
        """Keep what was found of an alert."""
        given = await form(request)
        caller = self.sessions.writing(request, f"WEB POST {FIND}", given.get("form_key", ""))
        ident = request.path_params["ident"]
        await run_in_threadpool(self._find, caller, ident, given)
        return RedirectResponse(f"/alerts/{quote(ident, safe='')}", status_code=303)

    async def release(self, request: Request) -> Response:
        """Let a batch in that quarantine holds."""
        return await self._decide(request, RELEASE)

    async def discard(self, request: Request) -> Response:
        """Keep a batch out for good."""
        return await self._decide(request, DISCARD)

    async def _decide(self, request: Request, rule: str) -> Response:
        given = await form(request)
        caller = self.sessions.writing(request, f"WEB POST {rule}", given.get("form_key", ""))
        name, reason = request.path_params["name"], given.get("reason", "").strip()
        batch = await run_in_threadpool(self._decided, caller, name, reason, rule)
        return RedirectResponse(f"/quarantine/{batch}", status_code=303)

    def _decided(self, caller: Caller, name: str, reason: str, rule: str) -> str:
        keeper = self.parts.keeper
        if keeper is None:
            raise NotFoundError("nothing is decided here", fix="`lineshaft quarantine release`")
        if not reason:
            raise InputError(_WHAT, fix="say why, for whoever reads the history")
        act = keeper.release if rule == RELEASE else keeper.discard
        with self.parts.deciding:
            held = find_held(self.parts.work, name)
            for team in sorted(teams_of(self.parts, held)):
                _must_be(caller, Role.ADMIN, team, f"decide about {held.what}")
            act(held, actor=caller.principal.name, reason=reason)
        self.parts.looks.forget(HELD)
        return held.id

    def _approve(self, caller: Caller, name: str, number: int, reason: str) -> None:
        if not reason:
            raise InputError(_WHAT, fix="say why, for whoever reads the history")
        if self.parts.policy is None:
            raise NotFoundError("no policy is known here", fix="`lineshaft models policies`")
        version = self.parts.registry.get(name, number)
        _must_be(caller, Role.ADMIN, Service.from_json(version.service_json).team, f"approve {version.ref}")
        policy = self.parts.policy(name)
        self.parts.registry.approve(
            name,
            number,
            consent=consent(policy),
            lasts_us=policy.approvals_last_us,
            actor=caller.principal.name,
            reason=reason,
        )

    def _find(self, caller: Caller, ident: str, given: dict[str, str]) -> None:
        book = the_book(self.parts)
        alert = book.get(ident)
        team, _ = team_of(self.parts, alert)
        _must_be(caller, Role.WRITER, team, f"say what was found of an alert of {alert.model!r}")
        if given.get("answer") not in set(Answer):
            raise InputError(f"{given.get('answer')!r} is no finding", fix="say confirmed, false or unknown")
        note, looked = given.get("note", "").strip()[:2000], given.get("looked", "").strip()
        looked_us = _moment_us(looked) if looked else None
        book.find(ident, Answer(given["answer"]), by=caller.principal.name, note=note, looked_us=looked_us)

    def _door(self, request: Request, onward: str, *, fault: str, status: int) -> Response:
        word = self.sessions.new_word()
        page = self.template.get_template("sign_in.html").render(
            title="Sign in",
            onward=onward,
            fault=fault,
            asks=self.sessions.asked_for,
            form_key=word,
            path=request.url.path,
            twin="",
            who="",
            may_change=False,
            as_of={},
            read_us=0,
        )
        response = HTMLResponse(page, status_code=status)
        self.sessions.knock(response, word)
        return response


async def form(request: Request) -> dict[str, str]:
    """Return the fields of a form.

    Raises
    ------
    InputError
        If the body is no form, or longer than any of ours.
    """
    kind = request.headers.get("content-type", "").partition(";")[0]
    if kind != "application/x-www-form-urlencoded":
        raise InputError(f"{kind or 'nothing'} is no form", fix="send the form of the page")
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > MOST_BYTES:
            raise InputError("the form is too long", fix="write less")
    try:
        return dict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=50))
    except ValueError as error:
        raise InputError(f"the form cannot be read: {error}", fix="send the form of the page") from error


def _must_be(caller: Caller, role: Role, team: str, what: str) -> None:
    """Refuse, and note it, who has not the role in a team."""
    if caller.principal.role_in(team) >= role:
        return
    error = ForbiddenError(
        f"{caller.principal.name} may not {what}, which belongs to team {team!r}",
        fix=f"ask for a grant such as {team}:{role.name.lower()}",
    )
    if caller.guard is not None:
        caller.guard.noted(error, who=caller.principal.name, method=caller.method, peer=caller.peer)
    raise error


def _moment_us(text: str) -> int:
    """Return a moment of a form, in UTC.

    >>> _moment_us("1970-01-01T00:01")
    60000000
    """
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise InputError(f"{text!r} is no moment", fix="write it like 2026-01-31T12:00") from error
    at = at if at.tzinfo is not None else at.replace(tzinfo=UTC)
    return round(at.timestamp() * 1_000_000)
