"""Checks that end: each on a thread of its own, none waited for longer than all are given."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from lineshaft.errors import LineshaftError

State = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one check found: `fix` is what to do where it is not ok."""

    state: State = "ok"
    says: str
    fix: str = ""


Check = Callable[[], Finding]
"""Look at one thing, change nothing. An error of ours that it raises is a finding too."""


def examine(checks: Mapping[str, Check], *, patience_s: float) -> dict[str, Finding]:
    """Run all checks at once; one that does not end in time fails, and is left to itself."""
    found: dict[str, Finding] = {}
    threads = {}
    for name, check in checks.items():
        threads[name] = threading.Thread(target=_note, args=(found, name, check), name=f"check {name}", daemon=True)
        threads[name].start()
    end_s = time.monotonic() + patience_s
    for thread in threads.values():
        thread.join(max(end_s - time.monotonic(), 0.0))
    late = Finding(state="fail", says=f"no answer within {patience_s:g} s", fix="see whether what it asks hangs")
    return {name: found.get(name, late) for name in checks}


def _note(found: dict[str, Finding], name: str, check: Check) -> None:
    try:
        found[name] = check()
    except LineshaftError as error:
        found[name] = Finding(state="fail", says=error.what, fix=error.fix)
    except Exception as error:  # noqa: BLE001 - a check that breaks is a finding, the others go on
        found[name] = Finding(
            state="fail", says=f"{type(error).__name__}: {error}", fix="read what it says; report it if it says nothing"
        )
