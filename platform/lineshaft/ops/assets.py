"""What is told of assets by the side table `assets`: where each stands, and of which class it is."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from lineshaft.errors import NotFoundError
from lineshaft.ops.tables import read_table


def told_of_assets(column: str, tables: Path) -> Mapping[str, str]:
    """Return a column of the table `assets` by `asset_id`, if there is such a table with such a column."""
    try:
        table = read_table("assets", tables)
    except NotFoundError:
        return {}
    if not {"asset_id", column} <= set(table.column_names):
        return {}
    pairs = zip(table["asset_id"].to_pylist(), table[column].to_pylist(), strict=True)
    return {asset: told for asset, told in pairs if asset and told}
