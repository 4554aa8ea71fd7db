"""Sentinels and clusters that are reached by TLS alone: real servers, each behind a door that encrypts."""

from __future__ import annotations

import signal
import socket
import socketserver
import ssl
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pyarrow as pa
import pytest
import trustme

from lineshaft.drills.fleets import Shared, Watched, shared, until, watched
from lineshaft.errors import UnavailableError
from lineshaft.specs import Feature, Source, Status, View, row_schema
from lineshaft.stores.online_redis import RedisOnlineStore
from lineshaft.stores.ports import Wanted

INSIDE, OUTSIDE = "127.0.0.1", "127.0.0.2"  # as long as each other: what servers say of themselves is put right so
LONG_S = 10.0
VIEW = View(
    name="pumps",
    source=Source(name="s", channels=("x",), units=("g",)),
    entity_keys=(("asset_id", "string"),),
    features=(Feature(name="rms"),),
)
PUMPS = [f"p{i}" for i in range(60)]


@contextmanager
def doors(ports: Sequence[int], context: ssl.SSLContext) -> Iterator[None]:
    """Take TLS on the same ports of another address, and carry what is said to the servers and back."""

    def carry(source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(1 << 16):
                sink.sendall(data.replace(INSIDE.encode(), OUTSIDE.encode()))
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    class Door(socketserver.BaseRequestHandler):
        """One connection."""

        def handle(self) -> None:
            """Carry until an end hangs up."""
            inside = (INSIDE, self.request.getsockname()[1])
            with (
                suppress(OSError),
                context.wrap_socket(self.request, server_side=True) as near,
                socket.create_connection(inside) as far,
            ):
                back = threading.Thread(target=carry, args=(far, near), daemon=True)
                back.start()
                carry(near, far)
                back.join()

    class Server(socketserver.ThreadingTCPServer):
        """A server that ends with its test."""

        daemon_threads, block_on_close, allow_reuse_address = True, False, True

    with ExitStack() as stack:
        for port in ports:
            server = stack.enter_context(Server((OUTSIDE, port), Door))
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
            stack.callback(server.shutdown)
        yield


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """Make an authority of our own."""
    return trustme.CA()


@pytest.fixture
def context(authority: trustme.CA) -> ssl.SSLContext:
    """Return what the doors show: a certificate for the address that they are at."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(OUTSIDE).configure_cert(made)
    return made


def outside(url: str, ca: Path) -> str:
    """Return the URL by which servers are reached through their doors."""
    return f"{url.replace('redis+', 'rediss+', 1).replace(INSIDE, OUTSIDE)}?ssl_ca_certs={ca}"


@pytest.fixture
def ca(authority: trustme.CA, tmp_path: Path) -> Path:
    """Write the authority's certificate to a file."""
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    return tmp_path / "ca.pem"


@pytest.fixture
def line(tmp_path: Path, context: ssl.SSLContext) -> Iterator[Watched]:
    """Run a primary, its replica and three sentinels, each behind a door."""
    with watched(tmp_path / "line") as running, doors((*running.data, *running.sentinels), context):
        yield running


@pytest.fixture
def cluster(tmp_path: Path, context: ssl.SSLContext) -> Iterator[Shared]:
    """Run a cluster of three, each behind a door."""
    with shared(tmp_path / "cluster") as running, doors(running.primaries, context):
        yield running


def rows(rms: float) -> pa.Table:
    """Return a row of each pump; the later its time the larger its value."""
    schema = row_schema(VIEW)
    columns = (PUMPS, [int(rms)] * len(PUMPS), [int(rms)] * len(PUMPS), [rms] * len(PUMPS))
    return pa.Table.from_arrays([pa.array(c, f.type) for c, f in zip(columns, schema, strict=True)], schema=schema)


WANTED = [Wanted(view=VIEW, features=("rms",), keys=pa.table({"asset_id": PUMPS}))]


def answers(store: RedisOnlineStore, rms: float) -> bool:
    """Tell whether a store answers with the row of this value for every pump."""
    (found,) = store.read(WANTED)
    return bool((found.status == Status.PRESENT).all()) and set(found.rows["rms"].to_pylist()) == {rms}


def opened(url: str) -> RedisOnlineStore:
    """Return a store that has time."""
    return RedisOnlineStore(url, project="dev", timeout_s=LONG_S, write_timeout_s=LONG_S)


def test_rows_are_read_and_written_by_tls_and_a_failover_is_followed(line: Watched, ca: Path) -> None:
    """Sentinels and data servers are asked by TLS; who is primary after a kill is heard of by TLS, too."""
    reader, writer = opened(outside(line.url, ca)), opened(outside(line.url, ca))
    writer.write(VIEW, rows(1.0))
    assert answers(reader, 1.0)
    (held,) = reader.read_at_once(WANTED, budget_s=LONG_S) or ()
    assert held.rows["rms"].to_pylist() == [1.0] * len(PUMPS)
    until(line.in_step, what="the replica follows")

    line.fleet.send(line.primary(), signal.SIGKILL)

    until(lambda: writer.write(VIEW, rows(2.0)).kept, what="a write is taken")
    until(lambda: answers(reader, 2.0), what="the new primary answers")
    reader.close()
    writer.close()


def test_a_cluster_is_read_and_written_by_tls(cluster: Shared, ca: Path) -> None:
    """Every server that the map names is met by TLS: rows of all three come back, scans and digests included."""
    store = opened(outside(cluster.url, ca))

    assert store.write(VIEW, rows(1.0)).kept == len(PUMPS)
    assert answers(store, 1.0)
    assert store.write(VIEW, rows(2.0)).kept == len(PUMPS)
    assert answers(store, 2.0)
    assert sum(table.num_rows for table in store.scan(VIEW)) == len(PUMPS)
    assert all(cluster.fleet.ask(port, "DBSIZE") for port in cluster.primaries)
    store.close()


@pytest.mark.parametrize("kind", ["line", "cluster"])
def test_servers_of_another_authority_are_not_believed(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """Nothing is said to a server whose certificate the file named does not vouch for; the reason is told."""
    trustme.CA().cert_pem.write_to_path(str(tmp_path / "other.pem"))
    store = opened(outside(request.getfixturevalue(kind).url, tmp_path / "other.pem"))

    with pytest.raises(UnavailableError, match="certificate verify failed"):
        store.read(WANTED)
    store.close()


@pytest.mark.parametrize("kind", ["line", "cluster"])
def test_who_does_not_encrypt_is_not_answered(kind: str, request: pytest.FixtureRequest) -> None:
    """The doors take TLS and nothing else, so what the tests above read came by it."""
    store = RedisOnlineStore(request.getfixturevalue(kind).url.replace(INSIDE, OUTSIDE), project="dev", timeout_s=1.0)

    with pytest.raises(UnavailableError):
        store.read(WANTED)
    store.close()
