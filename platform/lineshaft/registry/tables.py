"""Tables of the model registry. Times are int64 microseconds UTC; structured values are canonical JSON text."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from lineshaft.registry.schema import METADATA

MODEL = Table(
    "ls_model",
    METADATA,
    Column("name", String(200), primary_key=True),
    Column("task", String(40), nullable=False),
    Column("team", String(200), nullable=False),
    Column("owner", String(200), nullable=False),
    Column("description", Text, nullable=False),
    Column("created_us", BigInteger, nullable=False),
)

VERSION = Table(
    "ls_model_version",
    METADATA,
    Column("model", String(200), ForeignKey("ls_model.name"), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("state", String(20), nullable=False),
    Column("service", String(200), nullable=False),
    Column("service_json", Text, nullable=False),
    Column("features_json", Text, nullable=False),
    Column("training_set", String(64), nullable=False),
    Column("rows", BigInteger, nullable=False),
    Column("artifact_sha256", String(64), nullable=False),
    Column("artifact_format", String(8), nullable=False),
    Column("artifact_bytes", BigInteger, nullable=False),
    Column("params_json", Text, nullable=False),
    Column("metrics_json", Text, nullable=False),
    Column("seed", BigInteger, nullable=False),
    Column("library", String(80), nullable=False),
    Column("lock_sha256", String(64), nullable=False),
    Column("provenance_json", Text, nullable=False),
    Column("actor", String(200), nullable=False),
    Column("created_us", BigInteger, nullable=False),
    CheckConstraint("artifact_format in ('ubj', 'json')", name="format"),
    CheckConstraint("state in ('registered', 'validated', 'rejected', 'quarantined', 'retired')", name="state"),
)

PIN = Table(
    "ls_feature_pin",
    METADATA,
    Column("model", String(200), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("view", String(200), primary_key=True),
    Column("version", String(40), nullable=False),
    Column("table_version", BigInteger, nullable=False),
    ForeignKeyConstraint(["model", "number"], ["ls_model_version.model", "ls_model_version.number"]),
)

VERDICT = Table(
    "ls_gate_result",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("model", String(200), nullable=False),
    Column("number", Integer, nullable=False),
    Column("gate", String(200), nullable=False),
    Column("outcome", String(10), nullable=False),
    Column("detail", Text, nullable=False),
    Column("policy_sha256", String(64), nullable=False),
    Column("figures_json", Text, nullable=False, server_default="{}"),
    Column("at_us", BigInteger, nullable=False),
    ForeignKeyConstraint(["model", "number"], ["ls_model_version.model", "ls_model_version.number"]),
    CheckConstraint("outcome in ('pass', 'fail', 'unknown', 'error')", name="outcome"),
)

EVIDENCE = Table(
    "ls_evidence",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("model", String(200), nullable=False),
    Column("number", Integer, nullable=False),
    Column("evidence_json", Text, nullable=False),
    Column("at_us", BigInteger, nullable=False),
    ForeignKeyConstraint(["model", "number"], ["ls_model_version.model", "ls_model_version.number"]),
)

APPROVAL = Table(
    "ls_approval",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("model", String(200), nullable=False),
    Column("number", Integer, nullable=False),
    Column("actor", String(200), nullable=False),
    Column("reason", Text, nullable=False),
    Column("policy_sha256", String(64), nullable=False),
    Column("at_us", BigInteger, nullable=False),
    Column("expires_us", BigInteger, nullable=False),
    ForeignKeyConstraint(["model", "number"], ["ls_model_version.model", "ls_model_version.number"]),
)

TRANSITION = Table(
    "ls_transition",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("model", String(200), ForeignKey("ls_model.name"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("action", String(20), nullable=False),
    Column("before", String(200), nullable=False),
    Column("after", String(200), nullable=False),
    Column("actor", String(200), nullable=False),
    Column("reason", Text, nullable=False),
    Column("evidence", String(64), nullable=False),
    Column("at_us", BigInteger, nullable=False),
    Column("previous_digest", String(64), nullable=False),
    Column("digest", String(64), nullable=False),
    # Two writers that read the same end of the chain cannot both append to it.
    UniqueConstraint("previous_digest"),
)

HEAD = Table(
    "ls_chain_head",
    METADATA,
    # Every act on a model changes its row first: writers of one model wait here for one another, and what is cut off
    # the end of the chain is missed.
    Column("model", String(200), ForeignKey("ls_model.name"), primary_key=True),
    Column("length", BigInteger, nullable=False),
    Column("digest", String(64), nullable=False),
)

ASSIGNMENT = Table(
    "ls_assignment",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("model", String(200), nullable=False),
    Column("environment", String(80), nullable=False),
    Column("site", String(80), nullable=False, server_default=""),  # "": all that have no own
    Column("slot", String(20), nullable=False),
    Column("number", Integer, nullable=False),
    Column("valid_from_us", BigInteger, nullable=False),
    Column("valid_to_us", BigInteger),
    CheckConstraint("slot in ('champion', 'challenger', 'shadow')", name="slot"),
    ForeignKeyConstraint(["model", "number"], ["ls_model_version.model", "ls_model_version.number"]),
    # One of a slot is open: the migration adds `WHERE valid_to_us IS NULL`. Said here, it would load every server with
    # SQLAlchemy's dialect of a database that it does not use.
    Index("uq_ls_assignment_open_slot", "model", "environment", "site", "slot", unique=True),
)

GENERATION = Table(
    "ls_env_generation",
    METADATA,
    Column("environment", String(80), primary_key=True),
    Column("generation", BigInteger, nullable=False),
    Column("changed_us", BigInteger, nullable=False),
)

ACK = Table(
    "ls_replica_ack",
    METADATA,
    Column("replica", String(200), primary_key=True),
    Column("environment", String(80), primary_key=True),
    Column("generation", BigInteger, nullable=False),
    Column("models_json", Text, nullable=False),
    Column("at_us", BigInteger, nullable=False),
)
