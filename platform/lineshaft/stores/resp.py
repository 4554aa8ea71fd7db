"""Commands of Redis written as matrices: rows of one width become bulk strings of one width, all at once.

Packing 500 keys and values one by one costs more than the server takes to store them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Cells = NDArray[np.uint8]


def bulks(cells: Cells) -> Cells:
    """Return each row of cells (n x width) as a bulk string of RESP (n x more).

    >>> bulks(np.frombuffer(b"abcdef", np.uint8).reshape(2, 3)).tobytes().split()
    [b'$3', b'abc', b'$3', b'def']
    """
    n, width = cells.shape
    head = np.frombuffer(b"$%d\r\n" % width, np.uint8)
    out = np.empty((n, len(head) + width + 2), np.uint8)
    out[:, : len(head)] = head
    out[:, len(head) : -2] = cells
    out[:, -2:] = (13, 10)
    return out


def joined(prefix: bytes, keys: Sequence[bytes]) -> Cells:
    """Return keys of one width, each behind the prefix (n x width)."""
    rest = np.frombuffer(b"".join(keys), np.uint8).reshape(len(keys), -1)
    out = np.empty((len(keys), len(prefix) + rest.shape[1]), np.uint8)
    out[:, : len(prefix)] = np.frombuffer(prefix, np.uint8)
    out[:, len(prefix) :] = rest
    return out


def command(name: bytes, *first: bytes, pairs: tuple[Cells, Cells]) -> bytes:
    """Return a command with some arguments, then key, value, key, value: what MSET and MSETNX take.

    pairs: keys (n x width) and values (n x width).
    """
    keys, values = pairs
    return _head(name, *first, more=2 * len(keys)) + np.hstack([bulks(keys), bulks(values)]).tobytes()


def script(sha: bytes, *, keys: Cells, values: Cells) -> bytes:
    """Return a call of a loaded script with keys and as many values (n x width each)."""
    head = _head(b"EVALSHA", sha, b"%d" % len(keys), more=2 * len(keys))
    return head + bulks(keys).tobytes() + bulks(values).tobytes()


def _head(*words: bytes, more: int) -> bytes:
    return b"*%d\r\n" % (len(words) + more) + b"".join([b"$%d\r\n%b\r\n" % (len(word), word) for word in words])
