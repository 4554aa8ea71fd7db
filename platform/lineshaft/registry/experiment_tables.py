"""Tables of experiments: how each began, and how it ended. Neither is ever changed; both are sealed in the history."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Float, ForeignKey, Integer, String, Table, Text

from lineshaft.registry.schema import METADATA

EXPERIMENT = Table(
    "ls_experiment",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("model", String(200), ForeignKey("ls_model.name"), nullable=False),
    Column("environment", String(80), nullable=False),
    Column("champion", Integer, nullable=False),
    Column("challenger", Integer, nullable=False),
    Column("unit", String(40), nullable=False),
    Column("salt", String(64), nullable=False, unique=True),
    Column("weight_bp", Integer, nullable=False),
    Column("metric", String(80), nullable=False),
    Column("effect", Float, nullable=False),
    Column("alpha", Float, nullable=False),
    Column("min_assets", Integer, nullable=False),
    Column("started_us", BigInteger, nullable=False),
)

CONCLUSION = Table(
    "ls_experiment_end",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("salt", String(64), ForeignKey("ls_experiment.salt"), nullable=False, unique=True),
    Column("verdict", String(20), nullable=False),
    Column("detail", Text, nullable=False),
    Column("ended_us", BigInteger, nullable=False),
)
