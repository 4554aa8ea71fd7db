"""The catalogue's tables.

Everything the catalogue keeps is append-only except two kinds of row: the generation counter, which makes an apply a
compare-and-swap, and the pointers that say which version of a name is current.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, ForeignKeyConstraint, Integer, String, Table, Text

from lineshaft.registry.schema import METADATA

GENERATION = Table(
    "ls_generation",
    METADATA,
    Column("id", Integer, primary_key=True, autoincrement=False),  # always 1
    Column("generation", BigInteger, nullable=False),
    comment="One row: how many applies there were. An apply swaps it from the generation its plan saw.",
)

APPLY = Table(
    "ls_apply",
    METADATA,
    Column("generation", BigInteger, primary_key=True, autoincrement=False),
    Column("at_us", BigInteger, nullable=False),  # microseconds UTC
    Column("actor", String(200), nullable=False),
    Column("summary", Text, nullable=False),
    comment="Who applied what, when: one row per apply.",
)

DEFINITION = Table(
    "ls_definition",
    METADATA,
    Column("kind", String(20), primary_key=True),  # view | on_demand | service
    Column("name", String(200), primary_key=True),
    Column("version", String(12), primary_key=True),  # hash of the meaning
    Column("generation", BigInteger, primary_key=True, autoincrement=False),
    Column("team", String(200), nullable=False),
    Column("owner", String(200), nullable=False),
    Column("spec", Text, nullable=False),  # JSON of lineshaft.specs
    ForeignKeyConstraint(["generation"], ["ls_apply.generation"]),
    comment="Every definition ever applied. A new owner, ttl or wording is a new generation of the same version.",
)

CURRENT = Table(
    "ls_current",
    METADATA,
    Column("kind", String(20), primary_key=True),
    Column("name", String(200), primary_key=True),
    Column("version", String(12), nullable=False),
    Column("generation", BigInteger, nullable=False),
    Column("retired", Boolean, nullable=False),  # removed from the repository; versions stay readable for their pins
    ForeignKeyConstraint(
        ["kind", "name", "version", "generation"],
        ["ls_definition.kind", "ls_definition.name", "ls_definition.version", "ls_definition.generation"],
    ),
    comment="Which version of a name new readers get.",
)
