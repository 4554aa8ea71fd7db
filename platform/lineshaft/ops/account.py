"""Who acts, as far as a process can know: the account that it runs under, and where.

The operating system says so, not the environment, which anybody may set. It is no proof: who may write the database
may write any name into it, and who shares an account is one person to us (docs/how-to/train-and-serve-a-model.md).
"""

from __future__ import annotations

import os
import pwd
import socket


def account() -> str:
    """Return the name of this process's account; its number where it has no name, as in some containers."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"uid {os.getuid()}"


def place() -> str:
    """Return the machine and the process."""
    return f"{socket.gethostname()}:{os.getpid()}"


def gone(where: str) -> bool:
    """Return whether a process surely is no more: of this machine, and not there.

    >>> gone(place()), gone("elsewhere:1")
    (False, False)
    """
    machine, _, process = where.rpartition(":")
    if machine != socket.gethostname() or not process.isdecimal():
        return False
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return True
    except OSError:  # it is there, and another's
        return False
    return False
