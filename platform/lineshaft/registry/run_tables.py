"""Tables of runs: what was tried or trained, when, by whom, and how it ended; of figures over steps, a row each."""

from __future__ import annotations

from sqlalchemy import BigInteger, CheckConstraint, Column, Float, ForeignKey, Index, Integer, String, Table, Text

from lineshaft.registry.schema import METADATA

RUN = Table(
    "ls_run",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("project", String(80), nullable=False),
    Column("name", String(200), nullable=False),
    Column("model", String(200), nullable=False),
    Column("number", Integer),
    Column("actor", String(200), nullable=False),
    Column("place", String(300), nullable=False),
    Column("state", String(20), nullable=False),
    Column("detail", Text, nullable=False),
    Column("began_us", BigInteger, nullable=False),
    Column("seen_us", BigInteger, nullable=False),
    Column("ended_us", BigInteger),
    Column("due_us", BigInteger),
    # What only one run at a time may hold: a database lets many rows hold nothing, and one hold something.
    Column("alone", String(300), unique=True),
    Column("params_json", Text, nullable=False),
    Column("metrics_json", Text, nullable=False),
    Column("files_json", Text, nullable=False),
    CheckConstraint("state in ('running', 'done', 'skipped', 'failed', 'lost')", name="state"),
    Index("ix_ls_run_model", "project", "model", "id"),
)

POINT = Table(
    "ls_run_point",
    METADATA,
    Column("run", Integer, ForeignKey("ls_run.id"), primary_key=True),
    Column("name", String(200), primary_key=True),
    Column("step", BigInteger, primary_key=True, autoincrement=False),
    Column("value", Float, nullable=False),
)
