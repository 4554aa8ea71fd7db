"""`feast apply` goes through Lineshaft's door: the same checks, owners and versions as `lineshaft apply`."""

from __future__ import annotations

from pathlib import Path

from feast.repo_config import RepoConfig

from lineshaft.clock import SystemClock
from lineshaft.definitions.diff import Plan
from lineshaft.feast_plugin.parts import parts_of
from lineshaft.ops.account import account
from lineshaft.ops.planning import planned


def apply_repository(config: RepoConfig) -> Plan:
    """Check the repository behind a configuration and make it current in the catalogue.

    Raises
    ------
    DefinitionError
        If anything is wrong with it; the message lists every fault.
    ConflictError
        If a name belongs to another team, or somebody applied meanwhile.
    """
    parts, who = parts_of(config), account()
    catalog = parts.catalog()
    try:
        plan = planned(Path(config.repo_path or "."), catalog, settings=parts.settings, clock=SystemClock(), who=who)
        catalog.apply(plan, actor=f"{who} (feast apply)")
    finally:
        catalog.close()
    return plan
