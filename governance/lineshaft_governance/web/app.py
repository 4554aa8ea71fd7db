"""Routes of the admin page: each makes a page's data once, as HTML or (with ?format=json) as JSON."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lineshaft.errors import InputError, LineshaftError, NotFoundError
from lineshaft_governance.results import json_ready
from lineshaft_governance.web import pages, words
from lineshaft_governance.web.parts import WebParts

HERE = Path(__file__).parent
POLICY = "default-src 'none'; style-src 'self'; img-src 'self'; frame-src 'self'; base-uri 'none'; form-action 'none'"
REPORT_POLICY = (
    # Evidently's report is one file with its scripts inside. Sandboxed it has no origin: it draws, and reaches nothing.
    "sandbox allow-scripts; default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval' blob:; worker-src blob:; "
    "style-src 'unsafe-inline'; img-src data: blob:; font-src data:; connect-src 'none'; frame-ancestors 'self'"
)
HEADERS = {"x-content-type-options": "nosniff", "referrer-policy": "no-referrer", "cache-control": "no-store"}

Endpoint = Callable[[Request], Awaitable[Response]]


def create_app(parts: WebParts) -> Starlette:
    """Return the admin page over the parts given; it changes nothing."""
    template = _templates(parts)
    listed: dict[str, tuple[str, Callable[..., pages.Page]]] = {
        "/": ("overview.html", pages.overview),
        "/views": ("views.html", pages.views),
        "/services": ("services.html", pages.services),
        "/checkpoints": ("checkpoints.html", pages.checkpoints),
        "/drift": ("drift.html", pages.drift),
        "/models": ("models.html", pages.models),
    }
    named: dict[str, tuple[str, Callable[..., pages.Page]]] = {
        "/views/{name}": ("view.html", pages.view),
        "/checkpoints/{name}": ("checkpoint.html", pages.checkpoint),
        "/drift/{name}": ("drift_detail.html", pages.drift_detail),
        "/models/{name}": ("model.html", pages.model),
    }
    routes = [Route(path, _endpoint(parts, template, *found)) for path, found in (listed | named).items()]
    routes += [Route("/reports/{name}", _report(parts)), Route("/healthz", _healthy)]
    return Starlette(
        routes=[*routes, Mount("/static", StaticFiles(directory=HERE / "static"))],
        middleware=[Middleware(_Headers)],
        exception_handlers={LineshaftError: _fault(template), 404: _fault(template)},
    )


def _endpoint(parts: WebParts, template: Environment, name: str, make: Callable[..., pages.Page]) -> Endpoint:
    """Return the endpoint of one page."""

    async def endpoint(request: Request) -> Response:
        page = await run_in_threadpool(make, parts, **request.path_params)
        page["read_us"] = parts.clock.now_us()
        if request.query_params.get("format") == "json":
            return JSONResponse(json_ready(page))
        return HTMLResponse(template.get_template(name).render(**page, path=request.url.path))

    return endpoint


def _report(parts: WebParts) -> Endpoint:
    """Return the endpoint of Evidently's files: names of that folder and nothing else, sandboxed."""

    async def endpoint(request: Request) -> Response:
        name = request.path_params["name"]
        path = parts.reports / name
        if not re.fullmatch(r"[A-Za-z0-9_@\-][A-Za-z0-9_@.\-]*\.html", name) or not path.is_file():
            raise NotFoundError(f"there is no report {name!r}", fix="see the list of drift checks")
        return FileResponse(path, media_type="text/html", headers={"content-security-policy": REPORT_POLICY})

    return endpoint


async def _healthy(_request: Request) -> Response:
    """Say that the process answers."""
    return PlainTextResponse("ok")


def _fault(template: Environment) -> Callable[[Request, Exception], Response]:
    """Return the handler that says what went wrong and how to mend it."""

    def handler(request: Request, error: Exception) -> Response:
        missing = isinstance(error, NotFoundError | InputError) or not isinstance(error, LineshaftError)
        status = 404 if missing else 500
        what, fix = (error.what, error.fix) if isinstance(error, LineshaftError) else ("there is no such page", "")
        if request.query_params.get("format") == "json":
            return JSONResponse({"error": what, "fix": fix}, status_code=status)
        html = template.get_template("fault.html").render(
            title="Not found" if status == 404 else "Fault",
            what=what,
            fix=fix,
            path=request.url.path,
            as_of={},
            read_us=0,
        )
        return HTMLResponse(html, status_code=status)

    return handler


def _templates(parts: WebParts) -> Environment:
    """Return the templates; every value is escaped, and a misspelt name is an error."""
    environment = Environment(
        loader=FileSystemLoader(HERE / "templates"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    for filter_ in (words.age, words.moment, words.duration, words.number, words.short):
        environment.filters[filter_.__name__] = filter_
    environment.globals["project"] = parts.project
    environment.globals["now_us"] = parts.clock.now_us
    return environment


class _Headers:
    """Put the security headers on every answer that has none of its own."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                given: dict[bytes, bytes] = dict(message["headers"])
                added: dict[str, Any] = {"content-security-policy": POLICY, **HEADERS}
                extra = [(k.encode(), v.encode()) for k, v in added.items() if k.encode() not in given]
                message = {**message, "headers": [*message["headers"], *extra]}
            await send(message)

        await self._app(scope, receive, sending)
