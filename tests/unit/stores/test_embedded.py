"""The embedded Valkey: found, started, shared, replaced and stopped."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from lineshaft.errors import EnvironmentFault, UnavailableError
from lineshaft.stores import embedded
from lineshaft.stores.embedded import EmbeddedValkey, embedded_server
from lineshaft.stores.online_redis import RedisOnlineStore


def answers(url: str) -> bool:
    """Return whether a server answers."""
    try:
        RedisOnlineStore(url, project="dev").ping(timeout_s=1.0)
    except UnavailableError:
        return False
    return True


def start_elsewhere(folder: Path) -> None:
    """Start a server from another process, which then ends without stopping it."""
    program = (
        "import sys, pathlib; from lineshaft.stores.embedded import EmbeddedValkey;"
        "EmbeddedValkey(pathlib.Path(sys.argv[1])).start()"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", program, str(folder)], check=True)


def test_it_listens_where_only_this_user_can_reach_it(tmp_path: Path) -> None:
    """No network port: a socket file of mode 700."""
    with EmbeddedValkey(tmp_path) as server:
        mode = stat.S_IMODE(server.socket_path.stat().st_mode)

        assert answers(server.url)
        assert server.url.startswith("unix://")
        assert mode & 0o077 == 0


def test_leaving_stops_it_and_tidies_up(tmp_path: Path) -> None:
    """Nothing runs afterwards, and neither socket nor pid file stays."""
    with EmbeddedValkey(tmp_path) as server:
        pid = server.pid

    assert pid is not None
    assert not Path(f"/proc/{pid}").exists()
    assert not server.socket_path.exists()
    assert server.pid is None


def test_a_running_server_is_used_again_and_left_running(tmp_path: Path) -> None:
    """A second start finds the first one's server and does not stop it."""
    with EmbeddedValkey(tmp_path) as first:
        with embedded_server(tmp_path) as url:
            assert url == first.url
        assert answers(first.url)


def test_an_orphan_is_adopted(tmp_path: Path) -> None:
    """A server whose starter is gone is used again, and can be shut down by anybody."""
    start_elsewhere(tmp_path)
    later = EmbeddedValkey(tmp_path)

    url = later.start()

    assert answers(url)
    assert later.shut_down()
    assert not later.shut_down()


@pytest.mark.parametrize("ail", [signal.SIGSTOP, signal.SIGKILL])
def test_a_hung_or_dead_server_is_replaced(
    tmp_path: Path, ail: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What does not answer any more is ended and started anew."""
    monkeypatch.setattr(embedded, "_PATIENCE_S", 0.2)
    monkeypatch.setattr(embedded, "_STOP_S", 0.4)
    start_elsewhere(tmp_path)
    ill = EmbeddedValkey(tmp_path).pid
    assert ill is not None
    os.kill(ill, ail)

    with EmbeddedValkey(tmp_path) as second:
        assert second.pid != ill
        assert answers(second.url)


def test_a_server_that_dies_is_started_again_and_filled_by_who_keeps_it(tmp_path: Path) -> None:
    """What fills it is called after each start, and again when it fails; and not while the server lives."""
    fills: list[bool] = []

    def filled() -> None:
        fills.append(answers(server.url))
        if len(fills) == 1:
            raise UnavailableError("it has died again")

    with EmbeddedValkey(tmp_path) as server, server.kept_up(filled, every_s=0.02):
        time.sleep(0.1)
        assert fills == []
        dead = server.pid
        os.kill(dead or 0, signal.SIGKILL)
        until(lambda: len(fills) == 2)
        assert server.pid not in (None, dead)
        time.sleep(0.1)

    assert fills == [True, True]


def test_a_server_that_was_told_to_stop_is_left_in_peace(tmp_path: Path) -> None:
    """Who keeps it up does not start it again against somebody's will."""
    fills: list[None] = []
    with EmbeddedValkey(tmp_path) as server, server.kept_up(lambda: fills.append(None), every_s=0.02):
        assert EmbeddedValkey(tmp_path).shut_down()
        time.sleep(0.2)

        assert server.pid is None
    assert fills == []


def test_a_hung_server_costs_a_start_hardly_more_than_the_patience(tmp_path: Path) -> None:
    """It is not asked kindly, which it would not hear."""
    start_elsewhere(tmp_path)
    os.kill(EmbeddedValkey(tmp_path).pid or 0, signal.SIGSTOP)

    start_s = time.monotonic()
    with EmbeddedValkey(tmp_path):
        took_s = time.monotonic() - start_s

    assert took_s < embedded._PATIENCE_S + 1.0  # noqa: SLF001 - asking it kindly took 2.5 s more


def until(done: Callable[[], bool], *, within_s: float = 10.0) -> None:
    """Wait for something."""
    end_s = time.monotonic() + within_s
    while not done():
        assert time.monotonic() < end_s, "waited in vain"
        time.sleep(0.01)


def test_a_pid_that_belongs_to_somebody_else_is_left_alone(tmp_path: Path) -> None:
    """A stale pid file naming a living stranger does not make it ours to end."""
    (tmp_path / "valkey.pid").write_text(str(os.getpid()))
    server = EmbeddedValkey(tmp_path)

    assert server.pid is None
    with server:
        assert answers(server.url)


def test_a_folder_with_a_long_name_works(tmp_path: Path) -> None:
    """The kernel's limit on socket paths is ours to get around, in a private folder."""
    folder = tmp_path / ("long" * 30)
    with EmbeddedValkey(folder) as server:
        assert answers(server.url)
        assert stat.S_IMODE(server.socket_path.parent.stat().st_mode) == 0o700
    server.socket_path.parent.rmdir()


def test_a_machine_without_the_wheel_is_told_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a server program the remedy is a server of one's own."""

    def nothing(_: str) -> None:
        return None

    monkeypatch.setattr("importlib.util.find_spec", nothing)

    with pytest.raises(EnvironmentFault) as caught:
        embedded.server_binary()

    assert "LINESHAFT_REDIS_URL" in caught.value.fix
