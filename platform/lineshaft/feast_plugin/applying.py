"""`feast apply` goes through Lineshaft's door: the same checks, owners and versions as `lineshaft apply`."""

from __future__ import annotations

import getpass
from pathlib import Path

from feast.repo_config import RepoConfig

from lineshaft.definitions.diff import Plan, plan_changes
from lineshaft.definitions.reader import read_repo
from lineshaft.feast_plugin.parts import parts_of


def apply_repository(config: RepoConfig) -> Plan:
    """Check the repository behind a configuration and make it current in the catalogue.

    Raises
    ------
    DefinitionError
        If anything is wrong with it; the message lists every fault.
    ConflictError
        If a name belongs to another team, or somebody applied meanwhile.
    """
    catalog = parts_of(config).catalog()
    try:
        plan = plan_changes(read_repo(Path(config.repo_path or ".")), catalog)
        catalog.apply(plan, actor=f"{getpass.getuser()} (feast apply)")
    finally:
        catalog.close()
    return plan
