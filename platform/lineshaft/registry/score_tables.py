"""Tables of the fleet's scores: one row a prediction, and one for each model of each round that was due."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, CheckConstraint, Column, Float, Index, Integer, String, Table, Text

from lineshaft.registry.schema import METADATA

SCORE = Table(
    "ls_score",
    METADATA,
    Column("prediction_id", String(32), primary_key=True),  # who writes it twice makes one row
    Column("project", String(80), nullable=False),
    Column("model", String(200), nullable=False),
    Column("number", Integer, nullable=False),
    Column("role", String(20), nullable=False),  # champion, challenger or shadow
    Column("asset_id", String(200), nullable=False),
    Column("entity", Text, nullable=False),  # all join keys, as JSON
    Column("at_us", BigInteger, nullable=False),
    Column("score", Float),  # null where an input that is required was not there
    Column("status", Integer, nullable=False),  # of the worst input
    Column("degraded", Boolean, nullable=False),
    Index("ix_ls_score_last", "project", "model", "role", "entity", "at_us"),
    Index("ix_ls_score_asset", "project", "asset_id", "at_us"),
    comment="Scores of the fleet; the log of predictions has their inputs.",
)

FLEET_RUN = Table(
    "ls_fleet_run",
    METADATA,
    Column("project", String(80), primary_key=True),
    Column("due_us", BigInteger, primary_key=True, autoincrement=False),
    Column("model", String(200), primary_key=True),
    Column("state", String(10), nullable=False),
    Column("tries", Integer, nullable=False),
    Column("owner", String(400), nullable=False),  # whose process is on it, or was
    Column("begun_us", BigInteger, nullable=False),
    Column("ended_us", BigInteger),
    Column("version", String(220), nullable=False),
    Column("entities", Integer, nullable=False),
    Column("scored", Integer, nullable=False),
    Column("fault", Text, nullable=False),
    CheckConstraint("state in ('running', 'done', 'failed')", name="state"),
    comment="What became of each model in each round of the fleet.",
)
