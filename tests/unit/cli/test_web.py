"""The admin page as a command: told where it is once it is there, and in words where it cannot be."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lineshaft.cli.web import admin_page, stopped_by_signal
from lineshaft.errors import EnvironmentFault, InputError
from lineshaft.settings import Settings
from lineshaft.wiring import connect

Lineshaft = Callable[..., Any]


def test_the_page_is_served_where_it_says(home: Path) -> None:
    """A port of 0 is filled in, the page answers there, and nothing listens there afterwards."""
    with connect(Settings(home=home)) as parts:
        with admin_page(parts, address="127.0.0.1:0") as bound, urllib.request.urlopen(f"http://{bound}/views") as got:
            page = got.read().decode()
        with pytest.raises(OSError, match="refused"):
            urllib.request.urlopen(f"http://{bound}/views")

    assert re.fullmatch(r"127\.0\.0\.1:[1-9]\d*", bound)
    assert "pumps" in page


def test_a_taken_port_is_refused_before_any_address_is_printed(lineshaft: Lineshaft) -> None:
    """The command ends with what to do, and does not claim to be at an address where somebody else is."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        said = lineshaft("web", "--address", address)

    assert said.code == 1
    assert said.err.startswith(f"LS-ENV  cannot listen on {address}")
    assert "LINESHAFT_WEB_ADDRESS" in said.err
    assert "http://" not in said.err + said.out


@pytest.mark.parametrize("address", ["7701", ":7701", "localhost", "localhost:", "localhost:web", "127.0.0.1:70000"])
def test_an_address_that_is_none_is_refused_in_words(lineshaft: Lineshaft, address: str) -> None:
    """Host and port are both needed."""
    said = lineshaft("web", "--address", address)

    assert said.code == 1
    assert said.err.startswith(f"LS-INP  '{address}' is no address")
    assert "Traceback" not in said.err


@pytest.mark.parametrize("address", ["0.0.0.0:0", "[::]:0", "10.0.0.4:7701", "plant.example:7701"])
def test_an_address_that_others_reach_is_refused(lineshaft: Lineshaft, address: str) -> None:
    """The page asks nobody who they are: the error says so, and how to reach it from elsewhere."""
    said = lineshaft("web", "--address", address)

    assert said.code == 1
    assert said.err.startswith(f"LS-INP  {address} can be reached from other machines")
    assert "http://" not in said.err + said.out
    assert all(words in said.err for words in ("LINESHAFT_WEB_ADDRESS", "ssh -L", "LINESHAFT_WEB_PROXIED=true"))


def test_a_page_behind_a_proxy_may_listen_everywhere(home: Path) -> None:
    """Who says that a proxy authenticates callers decides where it is reached from."""
    with (
        connect(Settings(home=home, web_proxied=True, web_address="0.0.0.0:0")) as parts,
        admin_page(parts) as bound,
        urllib.request.urlopen(f"http://127.0.0.1:{bound.rpartition(':')[2]}/views") as got,
    ):
        assert got.status == 200


def test_a_host_that_is_not_ours_is_refused(home: Path) -> None:
    """An address of another machine cannot be listened on."""
    with (
        connect(Settings(home=home, web_proxied=True)) as parts,
        pytest.raises(EnvironmentFault, match=r"cannot listen on 192\.0\.2\.1:7701"),
        admin_page(parts, address="192.0.2.1:7701"),
    ):
        pass


def test_the_setting_is_used_unless_an_address_is_given(home: Path) -> None:
    """`LINESHAFT_WEB_ADDRESS` is read where no address is handed in."""
    with (
        connect(Settings(home=home, web_address="nowhere")) as parts,
        pytest.raises(InputError, match="'nowhere' is no address"),
        admin_page(parts),
    ):
        pass


def test_the_command_ends_cleanly_when_told_to(home: Path) -> None:
    """It prints where the page is once it answers, and SIGTERM ends it with exit code 0."""
    environment = {**os.environ, "LINESHAFT_HOME": str(home)}  # noqa: TID251  a child's environment
    code = "import sys; from lineshaft.cli import main; sys.argv = ['lineshaft', *sys.argv[1:]]; main()"
    command = [sys.executable, "-c", code, "web", "--address", "127.0.0.1:0"]

    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as running:
        assert running.stderr is not None
        line = running.stderr.readline()
        running.send_signal(signal.SIGTERM)
        rest = running.stderr.read()

    assert re.fullmatch(r"admin page on http://127.0.0.1:[1-9]\d*\n", line)
    assert (running.returncode, rest) == (0, "")


def test_a_signal_sets_the_event_and_ends_nothing() -> None:
    """The first Ctrl-C asks for an orderly end."""
    before = {name: signal.getsignal(name) for name in (signal.SIGINT, signal.SIGTERM)}
    try:
        stopping: threading.Event = stopped_by_signal()
        assert not stopping.is_set()
        signal.raise_signal(signal.SIGINT)
        assert stopping.is_set()
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)
