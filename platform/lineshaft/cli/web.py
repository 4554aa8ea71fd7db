"""The admin page: alone as `lineshaft web`, or beside the other parts of `lineshaft up`."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from lineshaft.cli.app import app
from lineshaft.cli.output import notes
from lineshaft.serving.addresses import refuse_open_address
from lineshaft.serving.http_port import http_port
from lineshaft.wiring import Parts, connect, governance

_SETTING = "LINESHAFT_WEB_ADDRESS"
_MISSING = {
    "authentication on this page": "keep it on this machine and reach it by `ssh -L 7701:127.0.0.1:7701 <machine>`; "
    "or put a proxy that authenticates in front of it, let nothing else reach it, and set LINESHAFT_WEB_PROXIED=true"
}


@app.command()
def web(address: Annotated[str, typer.Option(help="host:port")] = "") -> None:
    """Show the admin page until stopped."""
    stopping = stopped_by_signal()
    with connect() as parts, admin_page(parts, address=address) as bound:
        notes.print(f"admin page on http://{bound}")
        stopping.wait()


def stopped_by_signal() -> threading.Event:
    """Return an event that Ctrl-C and SIGTERM set from now on, instead of ending the process."""
    stopping = threading.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, lambda *_: stopping.set())
    return stopping


@contextmanager
def admin_page(parts: Parts, *, address: str = "") -> Iterator[str]:
    """Serve the admin page from a thread; yield its address, the port filled in where it was 0.

    Raises `InputError` for an address that is no host:port, and for one that other machines reach though no proxy that
    authenticates is said to stand there; `EnvironmentFault` where nothing can listen.
    """
    where = address or parts.settings.web_address
    refuse_open_address(where, setting=_SETTING, missing={} if parts.settings.web_proxied else _MISSING)
    with governance(parts) as checks, http_port(checks.web(parts), where, setting=_SETTING) as bound:
        yield bound
