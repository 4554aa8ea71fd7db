"""A wire between a server and its Redis that can be made slow, thin, dead or cut."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

_CHUNK = 1 << 16
_CUT = struct.pack("ii", 1, 0)  # SO_LINGER of no time: closing resets


@dataclass(frozen=True, slots=True, kw_only=True)
class Manner:
    """How bytes pass: after `delay_s`, at most `bytes_per_s` (0: any number), or not at all."""

    delay_s: float = 0.0
    bytes_per_s: int = 0
    dead: bool = False


WELL = Manner()


@dataclass(slots=True)
class Wire:
    """Carry connections from a port of this machine to a unix socket, in the manner set last.

    >>> with Wire(Path("/nowhere")) as wire:
    ...     wire.url.startswith("redis://127.0.0.1:")
    True
    """

    upstream: Path
    manner: Manner = WELL
    _port: int = 0
    _loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)
    _open: set[asyncio.StreamWriter] = field(default_factory=set)
    _thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """Return the URL of the near end."""
        return f"redis://127.0.0.1:{self._port}"

    def cut(self) -> None:
        """Reset every connection there is; new ones pass."""
        self._loop.call_soon_threadsafe(self._cut)

    def __enter__(self) -> Self:
        up = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(up,), name="wire", daemon=True)
        self._thread.start()
        up.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        if self._thread is not None:
            self._thread.join()

    def _run(self, up: threading.Event) -> None:
        server = self._loop.run_until_complete(asyncio.start_server(self._carry, "127.0.0.1", 0))
        self._port = server.sockets[0].getsockname()[1]
        up.set()
        self._loop.run_forever()
        server.close()
        self._loop.run_until_complete(self._end())
        self._loop.close()

    async def _end(self) -> None:
        self._cut()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _cut(self) -> None:
        for writer in list(self._open):
            peer: socket.socket = writer.get_extra_info("socket")
            with suppress(OSError):
                peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _CUT)
            writer.transport.abort()

    async def _carry(self, near_in: asyncio.StreamReader, near_out: asyncio.StreamWriter) -> None:
        try:
            far_in, far_out = await asyncio.open_unix_connection(str(self.upstream))
        except OSError:
            near_out.transport.abort()
            return
        self._open.add(near_out)
        try:
            await asyncio.gather(self._pass(near_in, far_out), self._pass(far_in, near_out))
        except asyncio.CancelledError:
            pass  # the wire is taken down; asyncio would complain of a connection that ended so
        finally:
            self._open.discard(near_out)
            for end in (near_out, far_out):
                end.transport.abort()

    async def _pass(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        try:
            while data := await source.read(_CHUNK):
                await self._wait(len(data))
                sink.write(data)
                await sink.drain()
        except OSError:
            pass
        finally:
            sink.transport.abort()

    async def _wait(self, size: int) -> None:
        manner = self.manner
        if manner.delay_s:
            await asyncio.sleep(manner.delay_s)
        if manner.bytes_per_s:
            await asyncio.sleep(size / manner.bytes_per_s)
        while self.manner.dead:  # noqa: ASYNC110 - set from another thread, which an event would not take
            await asyncio.sleep(0.02)
