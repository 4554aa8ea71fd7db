"""What the model registry remembers: frozen values, free of SQL."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class State(StrEnum):
    """What is known about a version, apart from where it runs."""

    REGISTERED = "registered"
    VALIDATED = "validated"  # its gate passed: it may be assigned
    REJECTED = "rejected"  # its gate failed
    RETIRED = "retired"


MOVES: Mapping[State, frozenset[State]] = {
    State.REGISTERED: frozenset({State.VALIDATED, State.REJECTED, State.RETIRED}),
    State.VALIDATED: frozenset({State.RETIRED, State.REJECTED}),
    State.REJECTED: frozenset({State.RETIRED}),
    State.RETIRED: frozenset(),
}
"""The legal moves of a version."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewPin:
    """The view version a model was trained on, and the offline table version its rows were read at."""

    view: str
    version: str
    table_version: int = -1  # -1: not read from a versioned table


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A trained model on its way into the registry, with everything needed to make it again."""

    model: str
    task: str  # "binary" or "regression"
    service: str
    service_json: str
    features: tuple[str, ...]  # input order is part of the contract
    pins: tuple[ViewPin, ...]
    training_set: str  # fingerprint of the sorted rows it was fitted on
    rows: int
    artifact: bytes
    artifact_format: str  # "ubj" or "json": never a pickle
    params: Mapping[str, object]
    metrics: Mapping[str, float]
    seed: int
    library: str  # e.g. "xgboost 3.2.0": other libraries, other bits
    lock_sha256: str = ""
    team: str = ""
    owner: str = ""
    description: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelVersion:
    """A registered version. Nothing of it changes but `state`."""

    model: str
    number: int
    state: State
    task: str
    service: str
    service_json: str
    features: tuple[str, ...]
    pins: tuple[ViewPin, ...]
    training_set: str
    rows: int
    artifact_sha256: str
    artifact_format: str
    artifact_bytes: int
    params: Mapping[str, object]
    metrics: Mapping[str, float]
    seed: int
    library: str
    lock_sha256: str
    actor: str
    created_us: int

    @property
    def ref(self) -> str:
        """Return `model@number`."""
        return f"{self.model}@{self.number}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a gate said of a version; `unknown` (too little evidence) never counts as a pass."""

    gate: str
    outcome: str  # "pass", "fail" or "unknown"
    detail: str
    policy_sha256: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Transition:
    """One line of a model's history; `digest` covers the line and the one before it."""

    model: str
    number: int
    action: str  # "register", "judge", "promote", "retire"
    before: str
    after: str
    actor: str
    reason: str
    at_us: int
    previous_digest: str
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """Which version was champion of a model in an environment, and when. Open while `valid_to_us` is None."""

    model: str
    environment: str
    number: int
    valid_from_us: int
    valid_to_us: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisteredModel:
    """A model as the overview shows it."""

    name: str
    task: str
    team: str
    owner: str
    description: str
    versions: int
    champions: Mapping[str, int] = field(default_factory=dict)  # environment -> number
