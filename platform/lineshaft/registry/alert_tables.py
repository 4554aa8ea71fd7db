"""The tables of alerts: one row an episode, which is added to, and one each time somebody said what they found."""

from __future__ import annotations

from sqlalchemy import BigInteger, CheckConstraint, Column, Float, ForeignKey, Index, Integer, String, Table, Text

from lineshaft.registry.schema import METADATA

ALERT = Table(
    "ls_alert",
    METADATA,
    Column("id", String(32), primary_key=True),  # of the episode: who raises it twice makes one row
    Column("project", String(80), nullable=False),
    Column("model", String(200), nullable=False),
    Column("number", Integer, nullable=False),
    Column("asset_id", String(200), nullable=False),
    Column("entity", Text, nullable=False),  # all join keys, as JSON
    Column("at_us", BigInteger, nullable=False),  # what the score is about: the newest input's time
    Column("raised_us", BigInteger, nullable=False),
    Column("score", Float, nullable=False),
    Column("threshold", Float, nullable=False),
    Column("because", Text, nullable=False),  # [[feature, value, contribution], ...], as JSON
    Column("routed", Text, nullable=False),  # what became of it: {route: "sent" or why not}, as JSON
    Column("ended_us", BigInteger),  # null while it goes on
    Column("passing", Integer, nullable=False),  # how many scores passed
    Column("worst", Float, nullable=False),  # the score that passed by most
    Column("acked_us", BigInteger),
    Column("acked_by", String(200), nullable=False),
    Column("note", Text, nullable=False),
    Index("ix_ls_alert_asset", "project", "asset_id", "at_us"),
    Index("ix_ls_alert_model", "project", "model", "raised_us"),
    comment="Alerts: an episode of scores that passed a model's threshold.",
)

FINDING = Table(
    "ls_alert_finding",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("project", String(80), nullable=False),
    Column("alert", String(32), ForeignKey("ls_alert.id"), nullable=False),
    Column("model", String(200), nullable=False),
    Column("asset_id", String(200), nullable=False),
    Column("answer", String(10), nullable=False),
    Column("looked_us", BigInteger, nullable=False),  # when somebody looked
    Column("said_us", BigInteger, nullable=False),  # when they said what they found
    Column("said_by", String(200), nullable=False),
    Column("note", Text, nullable=False),
    CheckConstraint("answer in ('confirmed', 'false', 'unknown')", name="answer"),
    Index("ix_ls_alert_finding_model", "project", "model"),
    comment="What people found of alerts: added to, never changed; the last of an alert counts.",
)
