"""What the process keeps of memory that nobody uses: glibc is told to share it among threads, and to give it back.

By itself glibc gives each thread a heap of its own, up to eight a core, and keeps what was freed in them: a server of
40 threads that was sent some large requests held on to 200 MB of nothing. Nor does it give back what is free at the end
of a heap, up to twice the size of the largest block that was ever freed: 80 MB after a few requests of 60 MB. A fixed
size ends that, from which blocks are the system's own and free ends go back. Arrow's allocator is told to give back,
too.
Elsewhere than on glibc that is all this does.
"""

from __future__ import annotations

import ctypes
import os
from pathlib import Path
from typing import Any

import pyarrow as pa

_ARENA_MAX = -8  # M_ARENA_MAX of <malloc.h>
_HEAPS = 2
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_LARGE = 4 << 20
"""More than an ordinary answer has: for a block of its own the system is asked each time."""
_OF_DELTA = "narenas:1,tcache:false,dirty_decay_ms:1000,muzzy_decay_ms:0"
_SLACK = 8 << 20
_PAGE = os.sysconf("SC_PAGE_SIZE")


def share_heaps() -> bool:
    """Let all threads share two heaps without large blocks; tell whether that could be said. Heaps that are there stay.

    delta-rs brings an allocator of its own, and up to a hundred threads: it is told the like before it is loaded.
    """
    os.environ.setdefault("_RJEM_MALLOC_CONF", _OF_DELTA)  # noqa: TID251 - it can be told in no other way
    mallopt = _of_libc("mallopt")
    wishes = {_ARENA_MAX: _HEAPS, _MMAP_THRESHOLD: _LARGE, _TRIM_THRESHOLD: _LARGE}
    return mallopt is not None and all(mallopt(wish, value) for wish, value in wishes.items())


class Slack:
    """What the process has grown by since it was smallest, some of which may be free.

    Giving back takes some milliseconds in which other threads may wait for memory, so it is done after growth alone.
    """

    def __init__(self) -> None:
        self._least = 0

    def give_back(self) -> bool:
        """Return what was freed to the system if the process has grown; tell whether there was any."""
        trim, held = _of_libc("malloc_trim"), resident()
        grown = held > self._least + _SLACK
        if grown:
            pa.default_memory_pool().release_unused()  # Arrow's own allocator, of which glibc knows nothing
        gave = bool(trim is not None and grown and trim(0))
        self._least = resident() if gave else min(self._least or held, held)
        return gave


def resident() -> int:
    """Return the bytes of memory that the process holds; 0 where the system does not tell."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE
    except OSError:
        return 0


def _of_libc(name: str) -> Any:
    try:
        return getattr(ctypes.CDLL(None), name, None)
    except OSError:
        return None
