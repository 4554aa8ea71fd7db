"""The one error tree.

LineshaftError                LS-000  anything this product refuses or fails at
├── DefinitionError           LS-DEF  a declaration that cannot be served right
├── InputError                LS-INP  a caller's argument or file that cannot be used
├── NotFoundError             LS-NOF  a named thing that does not exist
├── ConflictError             LS-CON  somebody else changed it first, or owns it
│   └── TakenError            LS-TAK  a name that is in use
├── CheckFailedError          LS-CHK  data that breaks a check it is held to
├── CheckNotRunError          LS-CNR  a check that could not be run: neither good nor bad
├── CorruptError              LS-COR  stored bytes that fail their own check
├── UnavailableError          LS-UNA  a part we depend on did not answer
├── UnauthenticatedError      LS-AUT  nobody can tell who asks
├── ForbiddenError            LS-FOR  whoever asks may not have it
├── RateError                 LS-RAT  whoever asks has asked too often
└── EnvironmentFault          LS-ENV  this machine lacks something we need

Every error says what happened, where, and how to mend it. Transport codes are chosen in `serving`, never here.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import ClassVar

_MOST_NAMED = 12


class LineshaftError(Exception):
    """Say what is wrong, where, and what to do about it.

    >>> print(LineshaftError("window 50m is not a multiple of its 20m slide", where="vibration.py:41", fix="use 40m"))
    LS-000  window 50m is not a multiple of its 20m slide
      at: vibration.py:41
      fix: use 40m
    """

    code: ClassVar[str] = "LS-000"
    exit_code: ClassVar[int] = 1

    def __init__(self, what: str, *, where: str = "", fix: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.fix = fix

    def __str__(self) -> str:
        lines = [f"{self.code}  {self.what}"]
        if self.where:
            lines.append(f"  at: {self.where}")
        if self.fix:
            lines.append(f"  fix: {self.fix}")
        return "\n".join(lines)


class DefinitionError(LineshaftError):
    """A declaration cannot be computed or served right."""

    code = "LS-DEF"


class InputError(LineshaftError):
    """A caller's argument or file cannot be used."""

    code = "LS-INP"


class NotFoundError(LineshaftError):
    """A named thing does not exist."""

    code = "LS-NOF"


class ConflictError(LineshaftError):
    """Somebody else changed it first, or owns it."""

    code = "LS-CON"


class TakenError(ConflictError):
    """A name is in use."""

    code = "LS-TAK"


class CheckFailedError(LineshaftError):
    """Data breaks a check that it is held to."""

    code = "LS-CHK"
    exit_code = 3


class CheckNotRunError(LineshaftError):
    """A check could not be run: of the data it says neither that it is good nor that it is bad."""

    code = "LS-CNR"
    exit_code = 4


class CorruptError(LineshaftError):
    """Stored bytes fail their own check."""

    code = "LS-COR"


class UnavailableError(LineshaftError):
    """A part we depend on did not answer in time."""

    code = "LS-UNA"


class UnauthenticatedError(LineshaftError):
    """Nobody can tell who asks: no token, or one that is unknown, expired, revoked or altered."""

    code = "LS-AUT"


class ForbiddenError(LineshaftError):
    """Whoever asks is known, and may not have it."""

    code = "LS-FOR"


class RateError(LineshaftError):
    """Whoever asks has asked more often than agreed."""

    code = "LS-RAT"

    def __init__(self, what: str, *, where: str = "", fix: str = "", retry_ms: int = 0) -> None:
        super().__init__(what, where=where, fix=fix or (f"ask again in {retry_ms} ms" if retry_ms else ""))
        self.retry_ms = retry_ms


class EnvironmentFault(LineshaftError):
    """This machine lacks something we need."""

    code = "LS-ENV"


def close_to(word: str, known: Iterable[str], *, most: int = 3) -> list[str]:
    """Return the names that a word was likely meant to be, the likeliest first, in whatever case it was written.

    >>> close_to("Kurtosys", ["kurtosis", "skewness"])
    ['kurtosis']
    """
    names: dict[str, str] = {}
    for name in known:
        names.setdefault(name.casefold(), name)
    return [names[near] for near in difflib.get_close_matches(word.casefold(), names, n=most, cutoff=0.6)]


def nearest(word: str, known: Iterable[str], *, otherwise: str = "") -> str:
    """Say in the words of a fix what was likely meant; where nothing is near, `otherwise`, or which names there are.

    >>> nearest("kurtosys", ["kurtosis", "skewness"]), nearest("rms", ["kurtosis", "skewness"])
    ('did you mean kurtosis?', 'use one of kurtosis, skewness')
    """
    names = sorted(known)
    near = close_to(word, names)
    if near:
        return f"did you mean {' or '.join(near)}?"
    return otherwise or f"use one of {', '.join(names[:_MOST_NAMED])}{', …' if len(names) > _MOST_NAMED else ''}"
