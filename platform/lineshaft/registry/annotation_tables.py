"""Tables of what may be said of models and versions, and changed: no part of what was registered or decided."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, ForeignKey, ForeignKeyConstraint, Integer, String, Table, Text

from lineshaft.registry.schema import METADATA

MODEL_NOTE = Table(
    "ls_model_note",
    METADATA,
    Column("model", String(200), ForeignKey("ls_model.name"), primary_key=True),
    Column("created_us", BigInteger, nullable=False),  # later than the model's own where its name is used again
    Column("changed_us", BigInteger, nullable=False),
    Column("deleted", Boolean, nullable=False),
)

VERSION_NOTE = Table(
    "ls_version_note",
    METADATA,
    Column("model", String(200), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("description", Text),
    Column("source", Text, nullable=False),
    Column("run_id", String(200)),
    Column("run_link", Text),
    Column("changed_us", BigInteger, nullable=False),
    Column("deleted", Boolean, nullable=False),
    ForeignKeyConstraint(["model", "number"], ["ls_model_version.model", "ls_model_version.number"]),
)

TAG = Table(
    "ls_model_tag",
    METADATA,
    Column("model", String(200), ForeignKey("ls_model.name"), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),  # 0: of the model itself
    Column("key", String(250), primary_key=True),
    Column("value", Text, nullable=False),
)

ALIAS = Table(
    "ls_model_alias",
    METADATA,
    Column("model", String(200), primary_key=True),
    Column("alias", String(255), primary_key=True),
    Column("number", Integer, nullable=False),
    ForeignKeyConstraint(["model", "number"], ["ls_model_version.model", "ls_model_version.number"]),
)
