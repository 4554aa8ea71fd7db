"""The admin page as an application: its pages, who may open them, and how a fault is told."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from jinja2 import BytecodeCache, Environment, FileSystemLoader, StrictUndefined
from jinja2.bccache import Bucket
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import (
    FileResponse,
    HTMLResponse,
    JSONResponse,
    PlainTextResponse,
    RedirectResponse,
    Response,
)
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from lineshaft.access.guard import LOCAL, Caller
from lineshaft.errors import (
    CheckNotRunError,
    ConflictError,
    ForbiddenError,
    InputError,
    LineshaftError,
    NotFoundError,
    RateError,
    UnauthenticatedError,
    UnavailableError,
)
from lineshaft_governance.web import (
    alerts,
    audit,
    catalogue,
    checkpoints,
    drift,
    fleet,
    lineage,
    models,
    overview,
    prediction,
    quarantine,
    words,
)
from lineshaft_governance.web.answers import answer
from lineshaft_governance.web.forms import Forms
from lineshaft_governance.web.looks import begin_page
from lineshaft_governance.web.parts import Asked, Page, WebParts
from lineshaft_governance.web.protection import CARD_POLICY, REPORT_POLICY, KnownHosts, SecurityHeaders
from lineshaft_governance.web.sessions import Sessions, safe_path

HERE = Path(__file__).parent
Endpoint = Callable[[Request], Awaitable[Response]]
PAGES: dict[str, tuple[str, Callable[..., Page]]] = {
    "/": ("overview.html", overview.overview),
    "/features": ("features.html", catalogue.features),
    "/features/{of_view}/{name}": ("feature.html", catalogue.feature),
    "/views": ("views.html", catalogue.views),
    "/views/{name}": ("view.html", catalogue.view),
    "/services": ("services.html", catalogue.services),
    "/lineage": ("lineage.html", lineage.lineage),
    "/checkpoints": ("checkpoints.html", checkpoints.checkpoints),
    "/checkpoints/{name}": ("checkpoint.html", checkpoints.checkpoint),
    "/quarantine": ("quarantine.html", quarantine.quarantine),
    "/quarantine/{name}": ("held.html", quarantine.held_batch),
    "/drift": ("drift.html", drift.drift),
    "/drift/{name}": ("drift_detail.html", drift.drift_detail),
    "/drift/{name}/report": ("drift_report.html", drift.drift_report),
    "/models": ("models.html", models.models),
    "/models/{name}": ("model.html", models.model),
    "/predictions/{ident}": ("prediction.html", prediction.prediction),
    "/fleet": ("fleet.html", fleet.fleet),
    "/fleet/{name:path}": ("asset.html", fleet.asset),
    "/alerts": ("alerts.html", alerts.alerts),
    "/alerts/{ident}": ("alert.html", alerts.alert),
    "/audit": ("audit.html", audit.audit),
}
STATUS = {
    UnauthenticatedError: 401,
    ForbiddenError: 403,
    NotFoundError: 404,
    InputError: 404,
    ConflictError: 409,
    RateError: 429,
    UnavailableError: 503,
    CheckNotRunError: 503,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """What every page is made with."""

    parts: WebParts
    sessions: Sessions
    template: Environment

    def around(self, request: Request, caller: Caller) -> dict[str, Any]:
        """Return what stands around a page: where it is, who looks, and what proves its forms."""
        asks = self.sessions.asked_for
        return {
            "path": request.url.path,
            "twin": _twin(request),
            "who": caller.principal.name if asks else "",
            "form_key": self.sessions.form_key(request, caller) if asks else "",
            "may_change": asks,
            "read_us": self.parts.clock.now_us(),
        }


def create_app(parts: WebParts) -> Starlette:
    """Return the admin page over the parts given."""
    sessions = Sessions(parts.guard, clock=parts.clock, secure=parts.secure)
    site = Site(parts=parts, sessions=sessions, template=_templates(parts))
    forms = Forms(parts=parts, sessions=sessions, template=site.template)
    routes = [Route(path, _page(site, path, *found), methods=["GET"]) for path, found in PAGES.items()]
    card = "/models/{name}/versions/{number:int}/card"
    own = [
        Route(card, _card(site, card), methods=["GET"]),
        Route("/reports/{name}", _report(site), methods=["GET"]),
        Route("/healthz", _healthy, methods=["GET"]),
        *(Route(path, endpoint, methods=[verb]) for verb, path, endpoint in forms.routes()),
    ]
    return Starlette(
        routes=[*own, *routes, Mount("/static", StaticFiles(directory=HERE / "static"))],
        middleware=[Middleware(SecurityHeaders), Middleware(KnownHosts, hosts=parts.hosts)],
        exception_handlers={LineshaftError: _fault(site), 404: _fault(site)},
    )


def _page(site: Site, path: str, name: str, make: Callable[..., Page]) -> Endpoint:
    """Return the endpoint of one page."""
    rule = f"WEB GET {path}"

    async def endpoint(request: Request) -> Response:
        caller = site.sessions.caller(request, rule)
        asked = Asked(caller=caller, query=dict(request.query_params))
        begin_page()
        page = await run_in_threadpool(make, site.parts, asked, **request.path_params)
        around = site.around(request, caller)
        page["read_us"] = around.pop("read_us")
        wanted = request.query_params.get("format", "")
        response = answer(page, site.template, name, wanted=wanted, around=around)
        if page.get("waiting") and not wanted:
            response.headers["refresh"] = "1"  # it is being found out: ask again by itself
        return response

    return endpoint


def _report(site: Site) -> Endpoint:
    """Return the endpoint of Evidently's files: names of that folder and nothing else, sandboxed."""

    async def endpoint(request: Request) -> Response:
        asked = Asked(caller=site.sessions.caller(request, "WEB GET /reports/{name}"))
        name = request.path_params["name"]
        path = await run_in_threadpool(drift.readable_report, site.parts, asked, name)
        return FileResponse(path, media_type="text/html", headers={"content-security-policy": REPORT_POLICY})

    return endpoint


def _card(site: Site, path: str) -> Endpoint:
    """Return the endpoint of model cards: one file each, sandboxed."""

    async def endpoint(request: Request) -> Response:
        caller = site.sessions.caller(request, f"WEB GET {path}")
        asked = Asked(caller=caller)
        text = await run_in_threadpool(models.version_card, site.parts, asked, **request.path_params)
        return HTMLResponse(text, headers={"content-security-policy": CARD_POLICY})

    return endpoint


def _twin(request: Request) -> str:
    """Return the address of the same page up to the name of a form of it: what was searched for stays."""
    kept = [(key, value) for key, value in request.query_params.multi_items() if key != "format"]
    return f"?{urlencode([*kept, ('format', '')])}"


async def _healthy(_request: Request) -> Response:
    """Say that the process answers."""
    return PlainTextResponse("ok")


def _fault(site: Site) -> Callable[[Request, Exception], Response]:
    """Return the handler that says what went wrong and how to mend it; who is not known is asked to sign in."""

    def handler(request: Request, error: Exception) -> Response:
        known = isinstance(error, LineshaftError)
        status = next((code for kind, code in STATUS.items() if isinstance(error, kind)), 500 if known else 404)
        if isinstance(error, InputError) and request.method == "POST":
            status = 400
        what, fix = (error.what, error.fix) if isinstance(error, LineshaftError) else ("there is no such page", "")
        machine = request.query_params.get("format") in {"json", "csv"} or "authorization" in request.headers
        if machine:
            return JSONResponse({"error": what, "fix": fix}, status_code=status)
        if status == 401 and request.method == "GET":
            here = request.url.path + (f"?{request.url.query}" if request.url.query else "")
            return RedirectResponse(f"/sign-in?next={quote(safe_path(here))}", status_code=303)
        titles = {401: "Sign in", 403: "Not allowed", 404: "Not found", 409: "Not possible", 503: "Not available"}
        around = {**site.around(request, LOCAL), "read_us": 0, "who": "", "may_change": False}
        html = site.template.get_template("fault.html").render(
            title=titles.get(status, "Fault"), what=what, fix=fix, as_of={}, **around
        )
        return HTMLResponse(html, status_code=status)

    return handler


class Compiled(BytecodeCache):
    """Templates as they were compiled once in this process, whatever the number of pages over them."""

    def __init__(self) -> None:
        self._held: dict[str, bytes] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        """Hand out what is held of a template."""
        held = self._held.get(bucket.key)
        if held is not None:
            bucket.bytecode_from_string(held)

    def dump_bytecode(self, bucket: Bucket) -> None:
        """Hold a template."""
        self._held[bucket.key] = bucket.bytecode_to_string()


_COMPILED = Compiled()


def _templates(parts: WebParts) -> Environment:
    """Return the templates, compiled before anybody asks; values are escaped, and a misspelt name is an error."""
    environment = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        bytecode_cache=_COMPILED,
    )
    for filter_ in (words.age, words.moment, words.duration, words.number, words.short, words.percent, words.segment):
        environment.filters[filter_.__name__] = filter_
    environment.filters["twice"] = lambda word: (word, word)  # a choice that is called what it is
    environment.globals["project"] = parts.project
    environment.globals["now_us"] = parts.clock.now_us
    for name in environment.list_templates():
        environment.get_template(name)
    return environment
