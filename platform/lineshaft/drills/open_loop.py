"""Calls at a steady pace, whether they are answered or not: gRPC over HTTP/2 by hand, one thread, many connections.

A Python client of gRPC costs more for each call than the server that it calls. Here the frames of a call are made once
and only their stream number changes, so that one core sends and reads ten times what a server on another can answer.
RFC 9113 (frames), RFC 7541 (headers; we ask the server for none that refer to earlier ones).
"""

from __future__ import annotations

import selectors
import socket
import struct
import time
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from lineshaft.serving.restraint import Restraint

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _RESET, _SETTINGS, _PING, _GOAWAY, _WINDOW = 0, 1, 3, 4, 6, 7, 8
_END_STREAM, _END_HEADERS, _ACK = 1, 4, 1
_MOST = 2**31 - 1
HELD_BACK = "HELD_BACK"
"""How a call ends that its caller did not send, as the server was refusing most."""
_REFUSED = ("CANCELLED", "RESOURCE_EXHAUSTED")
_RESETS = {7: "UNAVAILABLE", 8: "CANCELLED", 11: "RESOURCE_EXHAUSTED"}
"""What gRPC's clients make of a stream that the server resets: refused, cancelled, told to be calm."""
NAMES = (
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
)
"""What gRPC calls its statuses, by their numbers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """One call: how it ended, when it was due, in seconds from the first, and the seconds that took from then on."""

    code: str
    due_s: float
    took_s: float


def frame(kind: int, flags: int, stream: int, body: bytes) -> bytes:
    """Return a frame of HTTP/2."""
    return struct.pack(">I", len(body))[1:] + struct.pack(">BBI", kind, flags, stream) + body


def headers(path: str, authority: str, *, timeout_ms: int) -> tuple[bytes, bytes]:
    """Return a call's headers for the first call of a connection, which the server remembers, and for all others."""
    told = [
        (b"\x44", b"", path.encode()),
        (b"\x41", b"", authority.encode()),
        (b"\x40", b"te", b"trailers"),
        (b"\x5f", b"", b"application/grpc"),
        (b"\x40", b"grpc-timeout", f"{timeout_ms}m".encode()),
    ]
    first = b"".join(
        kind + (bytes([len(name)]) + name if name else b"") + bytes([len(value)]) + value for kind, name, value in told
    )
    return b"\x83\x86" + first, b"\x83\x86\xc2\xc1\xc0\xbf\xbe"


def status_in(block: bytes) -> str:
    """Return the name of the status that a block of headers ends a call with; empty where it names none."""
    at = block.find(b"grpc-status")
    if at < 0:
        return ""
    at += len(b"grpc-status")
    return NAMES[int(block[at + 1 : at + 1 + block[at]])]


@dataclass(slots=True)
class Connection:
    """One connection: calls are begun on it, and end when their last frame is read.

    With a `restraint` it is used as `Client` uses one: while most calls are refused, some are not sent.
    """

    link: socket.socket
    first: bytes
    other: bytes
    restraint: Restraint | None = None
    due: dict[int, float] = field(default_factory=dict)
    ended: list[Ended] = field(default_factory=list)
    received: bytearray = field(default_factory=bytearray)
    unsent: bytearray = field(default_factory=bytearray)
    window: int = 65535
    unread: int = 0
    stream: int = 1
    start_s: float = 0.0

    def begin(self, message: bytes, due_s: float) -> bool:
        """Send a call that was due at a time; False where the server lets none be sent now."""
        body = b"\x00" + struct.pack(">I", len(message)) + message
        if self.window < len(body):
            return False
        block = self.first if self.stream == 1 else self.other
        self.unsent += frame(_HEADERS, _END_HEADERS, self.stream, block)
        self.unsent += frame(_DATA, _END_STREAM, self.stream, body)
        self.window -= len(body)
        self.due[self.stream] = due_s
        self.stream += 2
        return True

    def holds_back(self, due_s: float) -> bool:
        """Tell whether a call that was due at a time is not to be sent; then it has ended."""
        held = self.restraint is not None and not self.restraint.admits()
        if held:
            took_s = time.perf_counter() - due_s
            self.ended.append(Ended(code=HELD_BACK, due_s=due_s - self.start_s, took_s=took_s))
        return held

    def send(self) -> None:
        """Send what waits."""
        if self.unsent:
            try:
                del self.unsent[: self.link.send(self.unsent)]
            except BlockingIOError:
                return

    def read(self, now_s: float) -> None:
        """Read what has come."""
        try:
            got = self.link.recv(1 << 18)
        except BlockingIOError:
            return
        if not got:
            raise ConnectionError("the server has closed a connection")
        data = self.received
        data += got
        at = 0
        while len(data) - at >= 9:
            size = int.from_bytes(data[at : at + 3], "big")
            if len(data) - at - 9 < size:
                break
            kind, flags = data[at + 3], data[at + 4]
            stream = int.from_bytes(data[at + 5 : at + 9], "big")
            self._take(kind, flags, stream, data, at + 9, size, now_s)
            at += 9 + size
        del data[:at]

    def _take(self, kind: int, flags: int, stream: int, data: bytearray, at: int, size: int, now_s: float) -> None:
        if kind == _DATA:
            self.unread += size
            if self.unread > 1 << 29:
                self.unsent += frame(_WINDOW, 0, 0, struct.pack(">I", self.unread))
                self.unread = 0
        elif kind == _HEADERS and flags & _END_STREAM:
            self._end(stream, status_in(bytes(data[at : at + size])), now_s)
        elif kind == _RESET:
            self._end(stream, _RESETS.get(int.from_bytes(data[at : at + 4], "big"), "UNKNOWN"), now_s)
        elif kind == _WINDOW and stream == 0:
            self.window += int.from_bytes(data[at : at + 4], "big")
        elif kind in (_SETTINGS, _PING) and not flags & _ACK:
            self.unsent += frame(kind, _ACK, 0, bytes(data[at : at + size]) if kind == _PING else b"")
        elif kind == _GOAWAY:
            raise ConnectionError("the server says goodbye")

    def _end(self, stream: int, code: str, now_s: float) -> None:
        due_s = self.due.pop(stream, None)
        if due_s is not None:
            self.ended.append(Ended(code=code, due_s=due_s - self.start_s, took_s=now_s - due_s))
            if self.restraint is not None and code in ("OK", *_REFUSED):
                self.restraint.note(answered=code == "OK")


def opened(address: str, path: str, *, timeout_ms: int) -> Connection:
    """Connect, and say that the server may send as much as it likes."""
    host, _, port = address.rpartition(":")
    link = socket.create_connection((host, int(port)))
    link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    link.settimeout(0)
    first, other = headers(path, address, timeout_ms=timeout_ms)
    connection = Connection(link, first, other)
    wishes = struct.pack(">HIHI", 1, 0, 4, _MOST)
    connection.unsent += (
        _PREFACE + frame(_SETTINGS, 0, 0, wishes) + frame(_WINDOW, 0, 0, struct.pack(">I", _MOST - 65535))
    )
    return connection


def drive(
    address: str,
    path: str,
    messages: Sequence[bytes],
    *,
    rate: float,
    seconds: float,
    connections: int = 8,
    timeout_s: float = 1.0,
    restraint: Callable[[], Restraint] | None = None,
) -> list[Ended]:
    """Make `rate` calls a second for some seconds, of the messages in turn, and return how each ended.

    A call without an answer when its time is over ends as DEADLINE_EXCEEDED, one that could not even be sent as UNSENT.
    restraint: makes what holds each connection's calls back, as a `Client` does; what is not sent ends as HELD_BACK.
    """
    pool = deque(opened(address, path, timeout_ms=round(timeout_s * 1000)) for _ in range(connections))
    everyone, selector, lost = list(pool), selectors.DefaultSelector(), list[Ended]()
    for one in everyone:
        selector.register(one.link, selectors.EVENT_READ, one)
        one.send()
    start_s, number, total = time.perf_counter() + 0.2, 0, round(rate * seconds)
    for one in everyone:
        one.start_s = start_s
        one.restraint = None if restraint is None else restraint()
    end_s = start_s + seconds + timeout_s
    while (now_s := time.perf_counter()) < end_s and (number < total or any(one.due for one in everyone)):
        while number < total and (due_s := start_s + number / rate) <= now_s:
            pool.rotate(1)
            one, message, number = pool[0], messages[number % len(messages)], number + 1
            if not one.holds_back(due_s) and not one.begin(message, due_s):
                lost.append(Ended(code="UNSENT", due_s=due_s - start_s, took_s=0.0))
        for one in everyone:
            one.send()
        wait_s = start_s + number / rate - time.perf_counter() if number < total else 0.01
        for key, _ in selector.select(min(max(wait_s, 0.0), 0.01)):
            key.data.read(time.perf_counter())
    for one in everyone:
        late = (due_s - start_s for due_s in one.due.values())
        lost += [Ended(code="DEADLINE_EXCEEDED", due_s=due_s, took_s=timeout_s) for due_s in late]
        one.link.close()
    return [*lost, *(ended for one in everyone for ended in one.ended)]


def peak(
    address: str, path: str, messages: Sequence[bytes], *, start: float = 300.0, seconds: float = 3.0
) -> tuple[float, list[Ended]]:
    """Ask ever faster, until twice more is asked than answered; return the most answered in a second, and how."""
    best, best_calls, rate, short = 0.0, list[Ended](), start, 0
    while True:
        calls = drive(address, path, messages, rate=rate, seconds=seconds)
        answered = sum(call.code == "OK" for call in calls) / seconds
        if answered > best:
            best, best_calls = answered, calls
        short = short + 1 if answered < 0.85 * rate else 0
        if short == 2:
            return best, best_calls
        rate *= 1.0 if short else 1.15


def by_code(calls: Sequence[Ended]) -> dict[str, dict[str, float]]:
    """Return for each code how many calls ended with it, and what they took: median and 99th percentile in ms."""
    took: dict[str, list[float]] = defaultdict(list)
    for call in calls:
        took[call.code].append(1e3 * call.took_s)
    return {code: {"calls": len(all_ms), **quantiles_ms(all_ms)} for code, all_ms in sorted(took.items())}


def quantiles_ms(took: list[float]) -> dict[str, float]:
    """Return the median and the 99th percentile."""
    ordered = sorted(took)
    return {f"p{p}_ms": round(ordered[min(len(ordered) * p // 100, len(ordered) - 1)], 1) for p in (50, 99)}
