"""The record of denials: who, what, when, why; bounded, whoever knocks how often."""

from __future__ import annotations

from pathlib import Path

import pytest

from lineshaft.access.denials import WINDOW_US, Denial, Denials, recorded
from lineshaft.clock import ManualClock

PEER = "ipv4:10.1.2.3:5123"


@pytest.fixture
def clock() -> ManualClock:
    """Return a clock that stands at a day."""
    return ManualClock(time_us=86_400_000_000)


@pytest.fixture
def denials(tmp_path: Path, clock: ManualClock) -> Denials:
    """Return an empty record."""
    return Denials(tmp_path / "audit", clock=clock)


def size(folder: Path) -> int:
    """Return the bytes of a folder's files."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def test_a_denial_is_written_at_once(denials: Denials, clock: ManualClock, tmp_path: Path) -> None:
    """Another process reads it, without the port that a peer happened to have."""
    denials.note(who="token x", peer=PEER, what="/s/M", why="LS-FOR not yours")

    read = recorded(tmp_path / "audit", most=10)
    assert read == [
        Denial(at_us=clock.now_us(), who="token x", peer="ipv4:10.1.2.3", what="/s/M", why="LS-FOR not yours")
    ]


def test_the_same_denial_again_is_counted(denials: Denials, clock: ManualClock, tmp_path: Path) -> None:
    """Once when it first comes, and once with its count when ten seconds are over; others are told apart."""
    for number in range(1000):
        denials.note(who="x", peer=f"ipv4:10.1.2.3:{number}", what="/s/M", why="no")
    denials.note(who="y", peer=PEER, what="/s/M", why="no")
    assert [(one.who, one.count) for one in recorded(tmp_path / "audit", most=10)] == [("x", 1), ("y", 1)]

    clock.advance(seconds=WINDOW_US / 1e6)
    denials.note(who="x", peer=PEER, what="/s/M", why="no")

    assert [(one.who, one.count) for one in recorded(tmp_path / "audit", most=10)] == [
        ("x", 1),
        ("y", 1),
        ("x", 999),
        ("x", 1),
    ]


def test_counts_that_are_held_are_written_at_the_end(denials: Denials, tmp_path: Path) -> None:
    """A server that stops loses none."""
    denials.note(who="x", peer=PEER, what="/s/M", why="no")
    denials.note(who="x", peer=PEER, what="/s/M", why="no")
    denials.close()

    assert [one.count for one in recorded(tmp_path / "audit", most=10)] == [1, 1]


def test_a_flood_of_different_denials_cannot_fill_a_disk(tmp_path: Path, clock: ManualClock) -> None:
    """Three times what may be kept, each from elsewhere with as long a reason as it likes: the newest stay."""
    denials = Denials(tmp_path / "audit", clock=clock, most_bytes=1 << 20)
    for number in range(8000):
        if number % 200 == 0:
            clock.advance(seconds=10.8)
        denials.note(who=f"w{number}", peer=f"ipv4:{number}", what="/s/M", why="y" * 10_000)

    assert (1 << 20) / 2 < size(tmp_path) <= 1 << 20
    assert [one.who for one in recorded(tmp_path / "audit", most=1000)] == [
        f"w{number}" for number in range(7000, 8000)
    ]


def test_a_flood_in_one_moment_is_a_thousand_lines(denials: Denials, tmp_path: Path) -> None:
    """What is beyond is counted together."""
    for number in range(5000):
        denials.note(who=f"w{number}", peer=PEER, what="/s/M", why="no")
    denials.close()

    lines = recorded(tmp_path / "audit", most=10_000)
    assert len(lines) == 1002
    assert (lines[-1].who, lines[-1].count) == ("many", 3999)


def test_a_name_cannot_forge_a_line(denials: Denials, tmp_path: Path) -> None:
    """What callers name themselves stays inside its field."""
    forged = 'x"}\n{"at_us": 0, "who": "root", "peer": "", "what": "", "why": ""}\n'
    denials.note(who=forged, peer=PEER, what="/s/M", why="no")

    assert [one.who for one in recorded(tmp_path / "audit", most=10)] == [forged]


def test_a_line_cut_off_by_a_crash_hides_no_other(denials: Denials, tmp_path: Path) -> None:
    """What is whole is read."""
    denials.note(who="x", peer=PEER, what="/s/M", why="no")
    with (tmp_path / "audit" / "denials-0.0.jsonl").open("a") as file:
        file.write('{"at_us": 12, "wh')

    assert [one.who for one in recorded(tmp_path / "audit", most=10)] == ["x"]


def test_a_record_that_cannot_be_written_stops_nobody_from_being_sent_away(tmp_path: Path, clock: ManualClock) -> None:
    """A full or forbidden disk is told in the log."""
    (tmp_path / "audit").write_text("a file in the way")

    Denials(tmp_path / "audit", clock=clock).note(who="x", peer=PEER, what="/s/M", why="no")


def test_the_processes_of_one_server_write_files_of_their_own(tmp_path: Path, clock: ManualClock) -> None:
    """None turns over another's; they are read as one, by time."""
    first, second = (Denials(tmp_path, clock=clock, worker=number, most_bytes=1000) for number in (0, 1))
    for number in range(4):
        clock.advance(seconds=1)
        (second if number % 2 else first).note(who=f"w{number}", peer=PEER, what="/s/M", why="no" * 30)

    assert [one.who for one in recorded(tmp_path, most=10)] == ["w0", "w1", "w2", "w3"]
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        "denials-0.0.jsonl",
        "denials-0.1.jsonl",
        "denials-1.0.jsonl",
        "denials-1.1.jsonl",
    ]
