"""The online store's server dies, hangs, crawls and comes back; a read costs no more than its budget."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from lineshaft.errors import UnavailableError
from lineshaft.specs import Feature, Source, View, row_schema
from lineshaft.stores.embedded import EmbeddedValkey
from lineshaft.stores.online_redis import RedisOnlineStore
from lineshaft.stores.ports import Wanted

VIEW = View(
    name="pumps",
    source=Source(name="s", channels=("x",), units=("g",)),
    entity_keys=(("asset_id", "string"),),
    features=(Feature(name="rms"),),
)
BUDGET_S = 0.05
SLACK_S = 0.25  # what a loaded machine may add before a thread runs again


@pytest.fixture
def server(tmp_path: Path) -> Iterator[EmbeddedValkey]:
    """Start a Valkey of the test's own."""
    with EmbeddedValkey(tmp_path / "online") as running:
        yield running
        running.shut_down()


def filled(url: str) -> RedisOnlineStore:
    """Return a store that holds entity `a` with the value 1."""
    store = RedisOnlineStore(url, project="dev", timeout_s=BUDGET_S, write_timeout_s=2.0)
    store.write(VIEW, rows(1.0, event=1))
    return store


def rows(rms: float, *, event: int) -> pa.Table:
    """Return one row of entity `a`."""
    schema = row_schema(VIEW)
    columns = (["a"], [event], [event], [rms])
    return pa.Table.from_arrays([pa.array(c, f.type) for c, f in zip(columns, schema, strict=True)], schema=schema)


def rms(store: RedisOnlineStore, asset: str = "a", *, timeout_s: float | None = None) -> float | None:
    """Read one value."""
    keys = pa.table({"asset_id": [asset]})
    found = store.read([Wanted(view=VIEW, features=("rms",), keys=keys)], timeout_s=timeout_s)[0]
    value: float | None = found.rows["rms"].to_pylist()[0]
    return value


def failing_read_s(store: RedisOnlineStore) -> float:
    """Return how long a read took to fail."""
    start = time.monotonic()
    with pytest.raises(UnavailableError) as caught:
        rms(store)
    assert caught.value.fix
    return time.monotonic() - start


def test_a_killed_server_is_reported_at_once_with_a_remedy(server: EmbeddedValkey) -> None:
    """Reads and writes fail with `UnavailableError` within the budget, on old and new connections."""
    store = filled(server.url)
    os.kill(server.pid or 0, signal.SIGKILL)

    assert all(failing_read_s(store) < BUDGET_S + SLACK_S for _ in range(3))
    with pytest.raises(UnavailableError):
        store.write(VIEW, rows(2.0, event=2))


def test_the_first_read_after_a_restart_is_answered(server: EmbeddedValkey) -> None:
    """Connections that died while idle are replaced within the same call; the empty cache says NOT_FOUND."""
    store = filled(server.url)
    assert rms(store) == 1.0
    server.shut_down()
    server.start()

    assert rms(store, timeout_s=2.0) is None
    assert store.write(VIEW, rows(3.0, event=3)).kept == 1


def test_a_hung_server_costs_the_budget_and_no_more(server: EmbeddedValkey) -> None:
    """A stopped process accepts connections and answers nothing: each read ends in time, also the first."""
    store = filled(server.url)
    os.kill(server.pid or 0, signal.SIGSTOP)
    try:
        taken = [failing_read_s(store) for _ in range(4)]
    finally:
        os.kill(server.pid or 0, signal.SIGCONT)

    assert max(taken) < BUDGET_S + SLACK_S
    assert min(taken) > BUDGET_S / 2
    assert rms(store, timeout_s=2.0) == 1.0


def test_a_late_reply_is_never_given_to_another_request(server: EmbeddedValkey) -> None:
    """What a hung server answers after all belongs to nobody: the connection it comes on is gone."""
    store = filled(server.url)
    os.kill(server.pid or 0, signal.SIGSTOP)
    failing_read_s(store)
    os.kill(server.pid or 0, signal.SIGCONT)

    assert rms(store, "nobody", timeout_s=2.0) is None
    assert rms(store, timeout_s=2.0) == 1.0


def test_many_callers_of_a_hung_server_wait_side_by_side(server: EmbeddedValkey) -> None:
    """Sixteen threads each lose their own budget, not one after another's."""
    store = filled(server.url)
    os.kill(server.pid or 0, signal.SIGSTOP)
    start = time.monotonic()
    threads = [threading.Thread(target=failing_read_s, args=(store,)) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    taken = time.monotonic() - start
    os.kill(server.pid or 0, signal.SIGCONT)

    assert taken < BUDGET_S + 2 * SLACK_S


def test_a_crawling_server_costs_the_budget_too(tmp_path: Path) -> None:
    """A server that sends a byte now and then cannot stretch a read beyond its budget."""
    path = tmp_path / "crawl.sock"
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()
    done = threading.Event()

    def crawl() -> None:
        peer, _ = listener.accept()
        peer.recv(1 << 16)
        with peer:
            for byte in b"*1\r\n$600\r\n" + b"x" * 600:
                if done.wait(0.01):
                    return
                peer.sendall(bytes([byte]))

    thread = threading.Thread(target=crawl)
    thread.start()
    store = RedisOnlineStore(f"unix://{path}", project="dev", timeout_s=BUDGET_S)
    taken = failing_read_s(store)
    done.set()
    thread.join()
    listener.close()

    assert taken < BUDGET_S + SLACK_S


def test_a_write_cut_short_is_finished_by_writing_again(server: EmbeddedValkey) -> None:
    """A batch that failed half-way leaves whole rows; the same batch again completes it."""
    store = filled(server.url)
    os.kill(server.pid or 0, signal.SIGSTOP)
    hurried = RedisOnlineStore(server.url, project="dev", write_timeout_s=0.1)
    with pytest.raises(UnavailableError):
        hurried.write(VIEW, rows(5.0, event=5))
    os.kill(server.pid or 0, signal.SIGCONT)

    store.write(VIEW, rows(5.0, event=5))

    assert rms(store, timeout_s=2.0) == 5.0


def test_a_name_server_that_hangs_costs_the_budget_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looking up the server's name ends in time too, also for those who come meanwhile; so does trying at once."""
    looking = threading.Event()

    def hangs(*_: object, **__: object) -> list[object]:
        looking.wait(5.0)
        raise OSError("no such name")

    monkeypatch.setattr(socket, "getaddrinfo", hangs)
    store = RedisOnlineStore("redis://valkey.plant.example:6379", project="dev", timeout_s=BUDGET_S)
    before = threading.active_count()

    taken = [failing_read_s(store) for _ in range(8)]
    start = time.monotonic()
    nothing = store.read_at_once([Wanted(view=VIEW, features=("rms",), keys=pa.table({"asset_id": ["a"]}))])
    at_once_s = time.monotonic() - start
    held = threading.active_count() - before
    looking.set()

    assert max(taken) < BUDGET_S + SLACK_S
    assert nothing is None
    assert at_once_s < SLACK_S
    assert held <= 4
