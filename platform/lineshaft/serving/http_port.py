"""HTTP beside gRPC: an ASGI application on a thread and a loop of its own, so that neither waits for the other."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from lineshaft.errors import EnvironmentFault
from lineshaft.serving.addresses import host_and_port
from lineshaft.serving.tls import Tls


@contextmanager
def http_port(
    app: Any, address: str, *, setting: str, grace_s: float = 10.0, shared: bool = False, tls: Tls | None = None
) -> Iterator[str]:
    """Serve an application; yield its address, the port filled in where it was 0. In the end calls are finished.

    shared: let other processes listen on the same port, as workers of one server do. tls: encrypt connections.
    Raises `InputError` for an address that is no host:port, `EnvironmentFault` where nothing can listen there.
    """
    try:
        import uvicorn
    except ImportError as error:
        raise EnvironmentFault("no HTTP server is installed", fix="pip install 'lineshaft[http]'") from error
    with _listening(address, setting, shared=shared) as listener:
        config = uvicorn.Config(
            app, log_level="error", lifespan="off", ws="none", timeout_graceful_shutdown=max(1, round(grace_s))
        )
        if tls is not None:
            config.load()
            config.ssl = tls.context()
        server: Any = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([listener],), name="http-server", daemon=True)
        thread.start()
        while not server.started and thread.is_alive():
            thread.join(0.02)
        host, port = listener.getsockname()[:2]
        try:
            yield f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        finally:
            server.should_exit = True
            thread.join()


def _listening(address: str, setting: str, *, shared: bool) -> socket.socket:
    host, port = host_and_port(address, setting=setting)
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, reuse_port=shared)
    except OSError as error:
        what = f"cannot listen on {address}"
        raise EnvironmentFault(what, fix=f"stop what listens there, or set {setting}") from error
