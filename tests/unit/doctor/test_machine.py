"""What the doctor sees of a machine: versions, settings, disk and ports as they are."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from lineshaft.doctor import machine
from lineshaft.settings import Settings


@pytest.fixture
def taken() -> Iterator[str]:
    """Listen somewhere, and answer nobody."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"127.0.0.1:{listening.getsockname()[1]}"


@pytest.fixture
def free() -> str:
    """Find an address that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return f"127.0.0.1:{listening.getsockname()[1]}"


def test_this_python_and_its_packages_will_do() -> None:
    """The tests run where the product does."""
    assert machine.python().state == "ok"
    assert machine.packages().state == "ok"
    assert "pyarrow" in machine.packages().says


def test_another_python_will_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that nobody tested is told, with those that are."""
    monkeypatch.setattr("sys.version_info", (3, 9, 1))

    assert machine.python().state == "fail"
    assert "3.12" in machine.python().fix


def test_a_package_that_is_not_there_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Extras are nobody's duty, requirements are."""
    folder = tmp_path / "odd-1.0.dist-info"
    folder.mkdir()
    wants = ["Requires-Dist: no-such-package>=2", "Requires-Dist: numpy", 'Requires-Dist: nor-this; extra == "x"']
    (folder / "METADATA").write_text("\n".join(["Metadata-Version: 2.1", "Name: odd", "Version: 1.0", *wants, ""]))
    monkeypatch.syspath_prepend(str(tmp_path))

    found = machine.packages("odd")

    assert (found.state, found.fix) == ("fail", "pip install no-such-package")


def test_settings_are_told_without_their_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Passwords stay hidden, those in a URL that is no secret by name too."""
    monkeypatch.setenv("LINESHAFT_REDIS_URL", "redis://user:hunter2@host")
    monkeypatch.setenv("LINESHAFT_OFFLINE_URL", "s3://key:hunter3@bucket/offline")
    monkeypatch.setenv("LINESHAFT_WORKERS", "3")

    found = machine.configured(Settings())

    assert found.state == "ok"
    assert "hunter" not in found.says
    assert "WORKERS=3" in found.says
    assert "REDIS_URL=…" in found.says


def test_a_misspelt_setting_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would be passed over in silence."""
    monkeypatch.setenv("LINESHAFT_REDIS_ULR", "redis://host")

    found = machine.configured(Settings())

    assert found.state == "warn"
    assert "LINESHAFT_REDIS_ULR" in found.says


def test_a_home_that_cannot_be_written_fails(tmp_path: Path) -> None:
    """On a file system that takes no files; one that does is told with its room, whether the home is there or not."""
    assert machine.disk(Path("/proc/lineshaft")).state == "fail"
    assert machine.disk(tmp_path / "not" / "yet").state in {"ok", "warn"}
    assert "GB free" in machine.disk(tmp_path).says
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_told_before_it_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Little room is a warning, hardly any a failure."""
    states = []
    for needed in (0, 1 << 60):
        monkeypatch.setattr(machine, "_LITTLE_BYTES", 1 << 60)
        monkeypatch.setattr(machine, "_LEAST_BYTES", needed)
        states.append(machine.disk(tmp_path).state)

    assert states == ["warn", "fail"]


def test_a_port_that_somebody_else_has_is_told(taken: str, free: str, tmp_path: Path) -> None:
    """Unless a server runs: then its neighbours are expected to be taken."""
    path = f"unix:{tmp_path}/socket"
    alone = machine.ports(Settings(grpc_address=free, web_address=taken, http_address="", metrics_address=""))
    serving = machine.ports(Settings(grpc_address=taken, web_address=taken))
    idle = machine.ports(Settings(grpc_address=path, web_address=free))

    assert (alone.state, serving.state, idle.state) == ("warn", "ok", "ok")
    assert "admin page" in alone.fix
    assert f"gRPC {free} free" in alone.says
    assert f"{taken} in use" in alone.says
