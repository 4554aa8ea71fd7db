"""Tables of drift: what each check found, what became of it, and which sketch a version is compared with."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Float, ForeignKey, Index, Integer, String, Table, Text

from lineshaft.registry.schema import METADATA

SKETCH = Table(
    "ls_drift_sketch",
    METADATA,
    Column("model", String(200), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("artifact_sha256", String(64), nullable=False),
    Column("made_us", BigInteger, nullable=False),
    comment="Of each version: the artifact that says what its training set looked like.",
)

WINDOW = Table(
    "ls_drift_window",
    METADATA,
    Column("id", String(32), primary_key=True),  # of what it is: who checks twice writes one
    Column("project", String(80), nullable=False),
    Column("model", String(200), nullable=False),
    Column("number", Integer, nullable=False),
    Column("start_us", BigInteger, nullable=False),
    Column("end_us", BigInteger, nullable=False),
    Column("checked_us", BigInteger, nullable=False),
    Column("rows", BigInteger, nullable=False),
    Column("assets", Integer, nullable=False),
    Column("outcome", String(20), nullable=False),
    Column("standing", Text, nullable=False),  # of whom there is an alarm after it, as a JSON list
    Index("ix_ls_drift_window_model", "project", "model", "number", "end_us"),
    comment="One drift check of a model version.",
)

POINT = Table(
    "ls_drift_point",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("window_id", String(32), ForeignKey("ls_drift_window.id"), nullable=False),
    Column("kind", String(20), nullable=False),  # "feature", "prediction" or "performance"
    Column("column", String(300), nullable=False),
    Column("scope", String(300), nullable=False),  # an asset, "*" for all of the training set, "new" for all others
    Column("regime", String(300), nullable=False),
    Column("method", String(20), nullable=False),
    Column("effect", Float),
    Column("p", Float),
    Column("q", Float),
    Column("verdict", String(20), nullable=False),
    Column("rows", BigInteger, nullable=False),
    Column("reference_effective", Float),
    Column("current_effective", Float),
    Index("ix_ls_drift_point_window", "window_id"),
    comment="What a check found of one column, of whom, by one method; null where it is not known.",
)

TRIGGER = Table(
    "ls_drift_trigger",
    METADATA,
    Column("id", String(32), primary_key=True),
    Column("project", String(80), nullable=False),
    Column("model", String(200), nullable=False),
    Column("number", Integer, nullable=False),
    Column("cause", String(20), nullable=False),
    Column("assets", Text, nullable=False),  # JSON list
    Column("columns", Text, nullable=False),  # JSON list
    Column("detail", Text, nullable=False),
    Column("state", String(20), nullable=False),
    Column("raised_us", BigInteger, nullable=False),
    Column("closed_us", BigInteger),  # null while it stands
    Index("ix_ls_drift_trigger_model", "project", "model", "raised_us"),
    comment="What stands behind alarms of drift, and what is done about it.",
)

ACT = Table(
    "ls_drift_act",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("trigger_id", String(32), ForeignKey("ls_drift_trigger.id"), nullable=False),
    Column("at_us", BigInteger, nullable=False),
    Column("state", String(20), nullable=False),
    Column("detail", Text, nullable=False),
    Index("ix_ls_drift_act_trigger", "trigger_id"),
    comment="The trail of a trigger; a line is never changed.",
)
