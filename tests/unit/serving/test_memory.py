"""What the allocator is told: threads share heaps, and what was freed goes back to the system."""

from __future__ import annotations

import subprocess
import sys

import pytest

from lineshaft.serving.memory import resident

HEAPS = """
import ctypes, sys, threading
from lineshaft.serving.memory import share_heaps
if sys.argv[1] == "shared":
    assert share_heaps()
libc = ctypes.CDLL(None)
libc.malloc.restype = libc.fopen.restype = ctypes.c_void_p
barrier = threading.Barrier(9)
def work():
    libc.malloc(5000)
    barrier.wait()
threads = [threading.Thread(target=work) for _ in range(8)]
for thread in threads:
    thread.start()
barrier.wait()
said = libc.fopen(sys.argv[2].encode(), b"w")
libc.malloc_info(0, ctypes.c_void_p(said))
libc.fclose(ctypes.c_void_p(said))
print(open(sys.argv[2]).read().count("<heap nr="))
"""
LARGE = """
import ctypes, sys, threading
from lineshaft.serving.memory import resident, share_heaps
if sys.argv[1] == "shared":
    assert share_heaps()
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_size_t], [ctypes.c_void_p]
before = resident()
def work():
    for size in (30 << 20, 25 << 20):  # the first tells glibc that blocks of this size come and go
        block = libc.malloc(size)
        ctypes.memset(block, 1, size)
        libc.free(block)
thread = threading.Thread(target=work)
thread.start()
thread.join()
print(resident() - before)
"""
SLACK = """
from lineshaft.serving.memory import Slack, resident
slack = Slack()
slack.give_back()
before = resident()
blocks = [bytearray(5000) for _ in range(10_000)]
del blocks[:-1]
kept = resident() - before
assert kept > 40_000_000, kept
assert slack.give_back()
print(resident() - before)
assert not slack.give_back()
"""
ARROW = """
import ctypes, threading
import pyarrow as pa
from lineshaft.serving.memory import Slack, resident
slack = Slack()
slack.give_back()
before = resident()
def work():
    for block in [pa.allocate_buffer(5000) for _ in range(10_000)]:
        ctypes.memset(block.address, 1, block.size)
thread = threading.Thread(target=work)
thread.start()
thread.join()
kept = resident() - before
assert kept > 40_000_000, kept
slack.give_back()
print(resident() - before)
"""
linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc is Linux's")


def said_by(code: str, *words: str) -> int:
    """Run code in a process of its own, and return the number that it prints."""
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


@linux
def test_threads_share_two_heaps(tmp_path: object) -> None:
    """Eight threads that allocate at once have two heaps in all, where glibc by itself makes more."""
    assert said_by(HEAPS, "shared", f"{tmp_path}/told") <= 2
    assert said_by(HEAPS, "alone", f"{tmp_path}/told") > 2


@linux
def test_large_blocks_go_back_when_they_are_freed() -> None:
    """Of 25 MB that a thread had and freed little stays, where glibc by itself keeps them as the end of a heap."""
    assert said_by(LARGE, "shared") < 5_000_000
    assert said_by(LARGE, "alone") > 20_000_000


@linux
def test_what_was_freed_goes_back_once() -> None:
    """Of 50 MB that were freed but for the last piece, little stays; without growth nothing is looked for."""
    assert said_by(SLACK) < 10_000_000


@linux
def test_what_arrow_has_freed_goes_back_too() -> None:
    """Arrow has an allocator of its own, which keeps what a thread that is gone had freed."""
    assert said_by(ARROW) < 15_000_000


def test_the_memory_held_is_known() -> None:
    """A process that has imported this holds more than 10 MB."""
    assert resident() > 10_000_000
