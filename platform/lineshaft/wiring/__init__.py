"""The object graph, wired by hand in one place: settings in, parts out."""

from lineshaft.wiring.entrance import door
from lineshaft.wiring.parts import Parts, connect, kept_up, refill, scratch
from lineshaft.wiring.plugged import governance, jobs, plug_in, policy_of
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
