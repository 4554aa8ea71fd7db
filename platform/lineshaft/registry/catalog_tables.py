"""The catalogue's tables, one set of rows per project.

Everything the catalogue keeps is append-only except two kinds of row: the generation counter, which makes an apply a
compare-and-swap, and the pointers that say which version of a name is current.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, ForeignKeyConstraint, String, Table, Text

from lineshaft.registry.schema import METADATA

GENERATION = Table(
    "ls_catalog_generation",
    METADATA,
    Column("project", String(80), primary_key=True),
    Column("generation", BigInteger, nullable=False),
    comment="How many applies there were. An apply swaps it from the generation its plan saw.",
)

APPLY = Table(
    "ls_catalog_apply",
    METADATA,
    Column("project", String(80), primary_key=True),
    Column("generation", BigInteger, primary_key=True, autoincrement=False),
    Column("at_us", BigInteger, nullable=False),  # microseconds UTC
    Column("actor", String(200), nullable=False),
    Column("summary", Text, nullable=False),
    Column("wrote_json", Text, nullable=False, server_default="[]"),  # [kind, name, version, digest]
    Column("retired_json", Text, nullable=False, server_default="[]"),  # [kind, name]
    Column("previous_digest", String(64), nullable=False, server_default=""),
    Column("digest", String(64), nullable=False, server_default=""),
    comment="Who applied what, when: one row per apply.",
)

DEFINITION = Table(
    "ls_definition",
    METADATA,
    Column("project", String(80), primary_key=True),
    Column("kind", String(20), primary_key=True),  # view | on_demand | service
    Column("name", String(200), primary_key=True),
    Column("version", String(12), primary_key=True),  # hash of the meaning
    Column("generation", BigInteger, primary_key=True, autoincrement=False),
    Column("team", String(200), nullable=False),
    Column("owner", String(200), nullable=False),
    Column("spec", Text, nullable=False),  # JSON of lineshaft.specs
    ForeignKeyConstraint(["project", "generation"], ["ls_catalog_apply.project", "ls_catalog_apply.generation"]),
    comment="Every definition ever applied. A new owner, ttl or wording is a new generation of the same version.",
)

CURRENT = Table(
    "ls_current",
    METADATA,
    Column("project", String(80), primary_key=True),
    Column("kind", String(20), primary_key=True),
    Column("name", String(200), primary_key=True),
    Column("version", String(12), nullable=False),
    Column("generation", BigInteger, nullable=False),
    Column("retired", Boolean, nullable=False),  # removed from the repository; versions stay readable for their pins
    ForeignKeyConstraint(
        ["project", "kind", "name", "version", "generation"],
        [f"ls_definition.{column}" for column in ("project", "kind", "name", "version", "generation")],
        name="fk_ls_current_definition",
    ),
    comment="Which version of a name new readers get.",
)
