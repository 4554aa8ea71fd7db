"""The wire of the drills passes bytes as it is told to, on real sockets."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from lineshaft.drills.wire import WELL, Manner, Wire


@pytest.fixture
def echo(tmp_path: Path) -> Iterator[Path]:
    """Listen on a unix socket and send back what comes."""
    path = tmp_path / "echo"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()

        def answer() -> None:
            while True:
                try:
                    peer, _ = server.accept()
                except OSError:
                    return
                threading.Thread(target=back, args=(peer,), daemon=True).start()

        def back(peer: socket.socket) -> None:
            with peer:
                while data := peer.recv(100):
                    peer.sendall(data)

        threading.Thread(target=answer, daemon=True).start()
        yield path


def connected(wire: Wire, *, within_s: float = 5.0) -> socket.socket:
    """Return a connection to the near end."""
    return socket.create_connection(("127.0.0.1", int(wire.url.rpartition(":")[2])), within_s)


def trip_s(peer: socket.socket, size: int = 1) -> float:
    """Return how long some bytes take there and back."""
    start = time.monotonic()
    peer.sendall(b"x" * size)
    got = 0
    while got < size:
        got += len(peer.recv(size))
    return time.monotonic() - start


def test_bytes_pass_both_ways(echo: Path) -> None:
    """What is sent comes back."""
    with Wire(echo) as wire, connected(wire) as peer:
        peer.sendall(b"hello")
        assert peer.recv(5) == b"hello"


def test_bytes_are_late_and_few_as_told(echo: Path) -> None:
    """A delay counts each way, a width by the byte, and both end when all is well again."""
    with Wire(echo) as wire, connected(wire) as peer:
        wire.manner = Manner(delay_s=0.1)
        late_s = trip_s(peer)
        wire.manner = Manner(bytes_per_s=200)
        thin_s = trip_s(peer, 20)
        wire.manner = WELL
        well_s = trip_s(peer)

    assert late_s >= 0.2
    assert thin_s >= 0.2
    assert well_s < late_s


def test_nothing_passes_a_dead_wire_until_it_lives_again(echo: Path) -> None:
    """Connections stay open, their bytes wait."""
    with Wire(echo) as wire, connected(wire, within_s=0.2) as peer:
        wire.manner = Manner(dead=True)
        peer.sendall(b"x")
        with pytest.raises(TimeoutError):
            peer.recv(1)
        wire.manner = WELL
        peer.settimeout(5.0)
        assert peer.recv(1) == b"x"


def test_a_cut_resets_what_is_open_and_lets_new_ones_pass(echo: Path) -> None:
    """The other side sees a reset, not an end."""
    with Wire(echo) as wire:
        with connected(wire) as peer:
            trip_s(peer)
            wire.cut()
            with pytest.raises(ConnectionResetError):
                peer.recv(1)
        with connected(wire) as again:
            trip_s(again)


def test_a_far_end_that_is_away_is_seen_as_away(tmp_path: Path) -> None:
    """Who connects is hung up on."""
    with Wire(tmp_path / "nobody") as wire, connected(wire) as peer, suppress(ConnectionResetError):
        assert peer.recv(1) == b""
