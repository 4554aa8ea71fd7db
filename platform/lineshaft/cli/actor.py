"""Who acts in a command, and why."""

from __future__ import annotations

from lineshaft.errors import InputError
from lineshaft.ops.account import account


def acting(reason: str) -> str:
    """Return who acts; whoever gives no reason does not."""
    if not reason.strip():
        raise InputError("a change needs a reason", where="--reason", fix="say why, for whoever reads the history")
    return account()
