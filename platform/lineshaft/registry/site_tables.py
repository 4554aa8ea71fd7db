"""The table of sites: where each asset stood, and since when. A row is ended, never changed or taken out."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, String, Table, Text

from lineshaft.registry.schema import METADATA

PLACED = Table(
    "ls_asset_site",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("environment", String(80), nullable=False),
    Column("asset_id", String(200), nullable=False),
    Column("site", String(80), nullable=False),
    Column("actor", String(200), nullable=False),
    Column("reason", Text, nullable=False),
    Column("valid_from_us", BigInteger, nullable=False),
    Column("valid_to_us", BigInteger),
    # One of an asset is open: the migration adds `WHERE valid_to_us IS NULL`, as for slots.
    Index("uq_ls_asset_site_open", "environment", "asset_id", unique=True),
    comment="Sites of assets: whose champion answers for them.",
)
