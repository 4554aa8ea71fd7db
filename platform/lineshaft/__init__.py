"""Lineshaft: features computed once, by one piece of code, and every model runs off them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lineshaft.ops.tracking import run
    from lineshaft.serving.client import Client

__version__ = "0.1.0"
__all__ = ["Client", "__version__", "run"]


def __getattr__(name: str) -> Any:
    """Bring the client, or what writes runs down, in when it is first named: `import lineshaft` stays light."""
    if name == "Client":
        from lineshaft.serving.client import Client

        return Client
    if name == "run":
        from lineshaft.ops.tracking import run

        return run
    raise AttributeError(f"module 'lineshaft' has no attribute {name!r}")
