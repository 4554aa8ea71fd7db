"""The admin page: alone as `lineshaft web`, or beside the other parts of `lineshaft up`."""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer

from lineshaft.cli.app import app
from lineshaft.cli.output import notes
from lineshaft.errors import EnvironmentFault
from lineshaft.serving.addresses import host_and_port
from lineshaft.wiring import Parts, connect, governance


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

    Raises `InputError` for an address that is no host:port, `EnvironmentFault` where nothing can listen there.
    """
    import uvicorn

    with _listening(address or parts.settings.web_address) as listener, governance(parts) as checks:
        server: Any = uvicorn.Server(uvicorn.Config(checks.web(parts), log_level="error"))
        thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
        thread.start()
        while not server.started and thread.is_alive():
            thread.join(0.05)
        host, port = listener.getsockname()[:2]
        try:
            yield f"{host}:{port}"
        finally:
            server.should_exit = True
            thread.join()


def _listening(address: str) -> socket.socket:
    """Return a socket that listens at host:port."""
    try:
        return socket.create_server(host_and_port(address, setting="LINESHAFT_WEB_ADDRESS"))
    except OSError as error:
        what = f"cannot listen on {address}"
        raise EnvironmentFault(what, fix="stop what listens there, or set LINESHAFT_WEB_ADDRESS") from error
