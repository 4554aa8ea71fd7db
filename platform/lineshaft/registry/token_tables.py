"""The tables of API tokens. Rows are added and marked as revoked, never changed otherwise and never removed."""

from __future__ import annotations

from sqlalchemy import BigInteger, CheckConstraint, Column, ForeignKey, String, Table, UniqueConstraint

from lineshaft.registry.schema import METADATA

TOKEN = Table(
    "ls_token",
    METADATA,
    Column("id", String(16), primary_key=True),
    Column("project", String(80), nullable=False),
    Column("name", String(200), nullable=False),
    Column("digest", String(64), nullable=False),  # SHA-256 of the secret, which is nowhere
    Column("created_us", BigInteger, nullable=False),  # microseconds UTC, like all times here
    Column("created_by", String(200), nullable=False),
    Column("expires_us", BigInteger, nullable=False),
    Column("revoked_us", BigInteger),
    Column("revoked_by", String(200), nullable=False),
    Column("person", String(200), nullable=False, server_default=""),  # the human it belongs to; a service's: nobody
    UniqueConstraint("digest"),
    comment="API tokens, by what is kept of their secrets.",
)

GRANT = Table(
    "ls_token_grant",
    METADATA,
    Column("token", String(16), ForeignKey("ls_token.id"), primary_key=True),
    Column("team", String(200), primary_key=True),
    Column("role", String(10), nullable=False),
    CheckConstraint("role in ('reader', 'writer', 'admin')", name="role"),
    comment="The role of a token in a team; the team * is every team.",
)
