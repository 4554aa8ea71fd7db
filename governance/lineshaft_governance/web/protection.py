"""What every answer carries and every request must: security headers, and a Host that is ours."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection
from typing import Any

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; frame-src 'self'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
REPORT_POLICY = (
    # Evidently's report is one file with its scripts inside. Sandboxed it has no origin: it draws, and reaches nothing.
    "sandbox allow-scripts; default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval' blob:; worker-src blob:; "
    "style-src 'unsafe-inline'; img-src data: blob:; font-src data:; connect-src 'none'; frame-ancestors 'self'"
)
CARD_POLICY = "sandbox; default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'self'"
"""A model card is one file with its style inside, and no script."""
HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cache-control": "no-store",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


class SecurityHeaders:
    """Put the security headers on every answer that has none of its own."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                given: dict[bytes, bytes] = dict(message["headers"])
                added: dict[str, Any] = {"content-security-policy": POLICY, **HEADERS}
                extra = [(k.encode(), v.encode()) for k, v in added.items() if k.encode() not in given]
                message = {**message, "headers": [*message["headers"], *extra]}
            await send(message)

        await self._app(scope, receive, sending)


class KnownHosts:
    """Refuse requests for another host: a foreign page whose name was made to point here could read ours otherwise.

    An address says by itself that no name was made to point anywhere, so it is let through. No hosts: all are.
    """

    def __init__(self, app: ASGIApp, hosts: Collection[str] | None) -> None:
        self._app, self._hosts = app, None if hosts is None else {host.lower() for host in hosts}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or refuse it with 421."""
        if scope["type"] == "http" and self._hosts is not None:
            given = dict(scope["headers"]).get(b"host", b"").decode("latin-1")
            if not is_ours(given, self._hosts):
                text = "This is not the host you asked for. Name it in LINESHAFT_WEB_HOSTS if it is yours.\n"
                await PlainTextResponse(text, status_code=421)(scope, receive, send)
                return
        await self._app(scope, receive, send)


def is_ours(host: str, hosts: Collection[str]) -> bool:
    """Tell whether a Host header names this page: by an address, as localhost, or by a name that was set.

    >>> [is_ours(one, {"ls.plant.example"}) for one in ("127.0.0.1:7701", "[::1]:7701", "localhost")]
    [True, True, True]
    >>> is_ours("LS.plant.example", {"ls.plant.example"}), is_ours("evil.example:7701", set()), is_ours("", set())
    (True, False, False)
    """
    name = host.lower()
    if not name.endswith("]") and ":" in name:
        name = name.rpartition(":")[0]
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return name == "localhost" or name in hosts
    return True
