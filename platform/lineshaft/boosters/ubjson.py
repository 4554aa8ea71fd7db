"""UBJSON as XGBoost writes it, and no other: every value has one spelling, every length is held against what is there.

A reader in C++ that believes a length allocates it, and one that believes a nesting recurses into it: either takes the
server down with it. This one never makes more than it was given.
"""

from __future__ import annotations

import struct
from typing import Any, NoReturn

import numpy as np

from lineshaft.errors import InputError

MAX_BYTES = 256 << 20
MAX_DEPTH = 16
MAX_VALUES = 4_000_000
_DTYPES = {b"d": ">f4", b"D": ">f8", b"U": "u1", b"i": "i1", b"I": ">i2", b"l": ">i4", b"L": ">i8"}
_NUMBERS = {
    mark: struct.Struct(f">{kind}") for mark, kind in ((b"i", "b"), (b"I", "h"), (b"l", "i"), (b"L", "q"), (b"d", "f"))
}
_PLAIN: dict[bytes, bool | None] = {b"Z": None, b"T": True, b"F": False}


def decode(content: bytes) -> Any:
    """Return the one value in these bytes: objects as dicts, lists, typed arrays as NumPy arrays.

    >>> decode(bytes.fromhex("7b 4c 0000000000000001 61 69 05 7d"))
    {'a': 5}

    Raises
    ------
    InputError
        If the bytes are anything else, too many, too deep, or end early.
    """
    if len(content) > MAX_BYTES:
        raise InputError(f"these bytes are not ubj: {len(content)} of them, at most {MAX_BYTES} are read")
    reader = _Reader(content)
    value = reader.value(0)
    if reader.at != len(content):
        reader.refuse(f"{len(content) - reader.at} bytes follow the end")
    return value


class _Reader:
    """A place in some bytes."""

    def __init__(self, content: bytes) -> None:
        self.content, self.at, self.left = content, 0, MAX_VALUES

    def refuse(self, why: str) -> NoReturn:
        raise InputError(f"these bytes are not ubj: {why}", where=f"byte {self.at}")

    def take(self, count: int) -> bytes:
        """Return the next bytes, all of them or none."""
        if count < 0 or count > len(self.content) - self.at:
            self.refuse(f"{count} bytes are announced where {len(self.content) - self.at} are left")
        self.at += count
        return self.content[self.at - count : self.at]

    def value(self, depth: int) -> Any:
        """Return the next value."""
        self.left -= 1
        if depth > MAX_DEPTH or self.left < 0:
            self.refuse(f"nested deeper than {MAX_DEPTH}" if self.left >= 0 else f"more than {MAX_VALUES} values")
        mark = self.take(1)
        if mark == b"{":
            return self.object(depth)
        if mark == b"[":
            return self.typed() if self.content[self.at : self.at + 1] == b"$" else self.list(depth)
        if mark == b"S":
            return self.text()
        if mark in _PLAIN:
            return _PLAIN[mark]
        if mark not in _NUMBERS:
            self.refuse(f"{mark!r} begins no value that XGBoost writes")
        (number,) = _NUMBERS[mark].unpack(self.take(_NUMBERS[mark].size))
        return number

    def object(self, depth: int) -> dict[str, Any]:
        """Return an object, each key once."""
        found: dict[str, Any] = {}
        while self.content[self.at : self.at + 1] != b"}":
            key = self.text()
            if key in found:
                self.refuse(f"the key {key[:80]!r} stands there twice")
            found[key] = self.value(depth + 1)
        self.take(1)
        return found

    def list(self, depth: int) -> list[Any]:
        """Return a list of values of any kind."""
        count = self.count(b"#L", each=1)
        return [self.value(depth + 1) for _ in range(count)]

    def typed(self) -> Any:
        """Return numbers of one kind; kinds without a width would be a bomb, and are none of XGBoost's."""
        mark = self.take(2)[1:]
        if mark not in _DTYPES:
            self.refuse(f"arrays of {mark!r} are not taken")
        dtype = np.dtype(_DTYPES[mark])
        count = self.count(b"#L", each=dtype.itemsize)
        numbers = np.frombuffer(self.take(count * dtype.itemsize), dtype)
        return numbers.astype(dtype.newbyteorder("="))

    def count(self, mark: bytes, *, each: int) -> int:
        """Return an announced length, if that many of `each` bytes can follow."""
        if self.take(len(mark)) != mark:
            self.refuse(f"{mark!r} and a length must stand here")
        (count,) = _NUMBERS[b"L"].unpack(self.take(8))
        if not 0 <= count * each <= len(self.content) - self.at:
            self.refuse(f"{count} values are announced where {len(self.content) - self.at} bytes are left")
        return int(count)

    def text(self) -> str:
        """Return a length and the text of it."""
        try:
            return self.take(self.count(b"L", each=1)).decode()
        except UnicodeDecodeError:
            self.refuse("a text is not UTF-8")
