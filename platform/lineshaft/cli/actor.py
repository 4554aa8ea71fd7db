"""Who acts, as far as a command can know: the account that this process runs under.

The operating system says so, not the environment, which anybody may set. It is no proof: who may write the database
may write any name into it, and who shares an account is one person to us (docs/how-to/train-and-serve-a-model.md).
"""

from __future__ import annotations

import os
import pwd

from lineshaft.errors import InputError


def account() -> str:
    """Return the name of this process's account; its number where it has no name, as in some containers."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"uid {os.getuid()}"


def acting(reason: str) -> str:
    """Return who acts; whoever gives no reason does not."""
    if not reason.strip():
        raise InputError("a change needs a reason", where="--reason", fix="say why, for whoever reads the history")
    return account()
