"""The admin page: alone as `lineshaft web`, or beside the other parts of `lineshaft up`."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Annotated

import typer

from lineshaft.cli.app import app
from lineshaft.cli.output import notes
from lineshaft.registry.alerts import AlertBook
from lineshaft.serving.door import Door
from lineshaft.serving.http_port import http_port
from lineshaft.wiring import Parts, connect, door, governance

_SETTING = "LINESHAFT_WEB_ADDRESS"
_OR = (
    "or keep it on this machine and reach it by `ssh -L 7701:127.0.0.1:7701 <machine>`; or put a proxy that "
    "authenticates in front of it, let nothing else reach it, and set LINESHAFT_WEB_PROXIED=true"
)


@app.command()
def web(address: Annotated[str, typer.Option(help="host:port")] = "") -> None:
    """Show the admin page until stopped."""
    stopping = stopped_by_signal()
    with connect() as parts, door(parts) as entrance, admin_page(parts, address=address, entrance=entrance) as bound:
        notes.print(f"admin page on {entrance.scheme}://{bound}")
        stopping.wait()


def stopped_by_signal() -> threading.Event:
    """Return an event that Ctrl-C and SIGTERM set from now on, instead of ending the process."""
    stopping = threading.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, lambda *_: stopping.set())
    return stopping


@contextmanager
def admin_page(parts: Parts, *, address: str = "", entrance: Door | None = None) -> Iterator[str]:
    """Serve the admin page from a thread; yield its address, the port filled in where it was 0.

    entrance: the door of a server beside it; one of its own unless given.

    Raises `InputError` for an address that is no host:port, and for one that other machines reach though connections
    are not encrypted or nobody is asked who they are; `EnvironmentFault` where nothing can listen.
    """
    where = address or parts.settings.web_address
    with ExitStack() as stack:
        entrance = entrance or stack.enter_context(door(parts))
        if not parts.settings.web_proxied:
            entrance.refuse_unguarded(where, setting=_SETTING, otherwise=_OR)
        book = stack.enter_context(alert_book(parts))
        checks = stack.enter_context(governance(parts))
        page = checks.web(parts, guard=entrance.guard, encrypted=entrance.tls is not None, alerts=book)
        yield stack.enter_context(http_port(page, where, setting=_SETTING, tls=entrance.tls))


@contextmanager
def alert_book(parts: Parts) -> Iterator[AlertBook]:
    """Open the alerts of this environment."""
    book = AlertBook(parts.settings.database(), project=parts.settings.project, clock=parts.clock)
    try:
        yield book
    finally:
        book.close()
