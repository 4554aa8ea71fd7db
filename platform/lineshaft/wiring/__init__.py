"""The object graph, wired by hand in one place: settings in, parts out."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from lineshaft.wiring.parts import Parts, connect, kept_up, refill, scratch
from lineshaft.wiring.plugged import governance, jobs, plug_in, policy_of

if TYPE_CHECKING:
    from lineshaft.wiring.entrance import door
    from lineshaft.wiring.serving import feature_handler, handlers, limits
    from lineshaft.wiring.writing import gated_target, land_waiting

__all__ = [
    "Parts",
    "connect",
    "door",
    "feature_handler",
    "gated_target",
    "governance",
    "handlers",
    "jobs",
    "kept_up",
    "land_waiting",
    "limits",
    "plug_in",
    "policy_of",
    "refill",
    "scratch",
]
_LATER = {
    "door": "entrance",
    "feature_handler": "serving",
    "gated_target": "writing",
    "handlers": "serving",
    "land_waiting": "writing",
    "limits": "serving",
}
"""What serves and lands, by module: who plans a change should not wait for a server's parts."""


def __getattr__(name: str) -> Any:
    """Bring in what serves or lands when it is first named."""
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_LATER[name]}"), name)
