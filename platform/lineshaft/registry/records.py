"""What the model registry remembers: frozen values, free of SQL."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from lineshaft.errors import InputError


class State(StrEnum):
    """What is known about a version, apart from where it runs."""

    REGISTERED = "registered"
    VALIDATED = "validated"  # its gate passed: it may be assigned
    REJECTED = "rejected"  # its gate failed
    QUARANTINED = "quarantined"  # somebody found that it must not serve, whatever its gate said
    RETIRED = "retired"


class Slot(StrEnum):
    """What a version does in an environment; each slot holds one version at a time."""

    CHAMPION = "champion"  # answers
    CHALLENGER = "challenger"  # is compared with the champion
    SHADOW = "shadow"  # answers nobody: a version may gather evidence here before its gate has enough


MOVES: Mapping[State, frozenset[State]] = {
    State.REGISTERED: frozenset({State.VALIDATED, State.REJECTED, State.QUARANTINED, State.RETIRED}),
    State.VALIDATED: frozenset({State.REJECTED, State.QUARANTINED, State.RETIRED}),
    State.REJECTED: frozenset({State.QUARANTINED, State.RETIRED}),
    State.QUARANTINED: frozenset({State.RETIRED}),
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
class Provenance:
    """How a training set came about, stage by stage: what `lineshaft reproduce` makes again and compares."""

    model_file: str  # the declaration, word by word
    catalog_generation: int
    label_table: str
    label_sha256: str  # of the file's bytes, which are kept under this name
    moments_sha256: str  # of entity keys, times and labels
    features_sha256: str  # of the training set, which is kept under this name
    environment: Mapping[str, str]
    curve: tuple[tuple[float, float], ...] = ()  # of unseen assets: recall and precision, or life left and error


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A trained model on its way into the registry, with everything needed to make it again."""

    model: str
    task: str  # "binary", "regression" or "rul"
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
    provenance: Provenance | None = None
    team: str = ""
    owner: str = ""
    description: str = ""

    def __post_init__(self) -> None:
        """Refuse a name that no model may have."""
        refuse_name(self.model)


def refuse_name(name: str) -> None:
    """Refuse a name that would lead somewhere as a file's: notes of heads and logs of predictions bear it.

    Raises
    ------
    InputError
        If it is empty, too long, begins with a dot or holds a separator or what cannot be printed.
    """
    if not 0 < len(name) <= 200 or name.startswith(".") or set(name) & set("/\\") or not name.isprintable():
        raise InputError(f"{name[:80]!r} names no model", fix="use letters, digits, _ and -, at most 200 of them")


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
    provenance: Provenance | None = None  # of versions of before there was any, and of tables from elsewhere: none

    @property
    def ref(self) -> str:
        """Return `model@number`."""
        return f"{self.model}@{self.number}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a gate said of a version; `unknown` (too little evidence) and `error` never count as a pass."""

    gate: str
    outcome: str  # "pass", "fail", "unknown", or "error" where the gate itself could not judge
    detail: str
    policy_sha256: str = ""
    figures: Mapping[str, str | float | None] = field(default_factory=dict)  # what it rests on


@dataclass(frozen=True, slots=True, kw_only=True)
class Consent:
    """Who must have agreed to a promotion under a policy: so many people other than who registered and who promotes."""

    people: int = 0
    among: tuple[str, ...] = ()  # nobody named: anybody else
    services: bool = False  # whether a service may agree, in the name of who answers for it
    policy_sha256: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """That somebody agreed to a version under a policy, until when."""

    actor: str
    reason: str
    policy_sha256: str
    at_us: int
    expires_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Transition:
    """One line of a model's history; `digest` covers the line and the one before it."""

    model: str
    number: int
    action: str  # "register", "attest", "judge", "approve", "promote", "rollback", "clear", "quarantine", "retire"
    before: str
    after: str
    actor: str
    reason: str
    at_us: int
    previous_digest: str
    digest: str
    evidence: str = ""  # digest of what the act rests on: a version's record, a verdict, the line of that verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """The end of a model's chain: how many lines it has, and the digest of the last."""

    length: int
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """Which version held a slot of a model in an environment, and when. Open while `valid_to_us` is None.

    `site` is whose assets it answers for; "" for all whose site has nobody in that slot, or that stand at none.
    """

    id: int  # what a compare-and-swap compares: each assignment has its own, even of a version that was here before
    model: str
    environment: str
    slot: Slot
    number: int
    valid_from_us: int
    valid_to_us: int | None
    site: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """A challenger that answers for a share of the assets, and by what it is compared with the champion."""

    model: str
    environment: str
    champion: int
    challenger: int
    unit: str  # "asset"
    salt: str  # names the experiment, and deals the assets anew for each
    weight_bp: int  # the challenger's share, of 10,000
    metric: str
    effect: float
    alpha: float
    min_assets: int
    started_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Conclusion:
    """How an experiment ended."""

    salt: str
    verdict: str  # "challenger", "champion", "undecided", "too_few_assets"
    detail: str
    ended_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Ack:
    """What a server said it serves since it followed a generation, and when it last said so."""

    replica: str
    environment: str
    generation: int
    models: Mapping[
        str, int
    ]  # those it has in memory, by the number it answers with; of a site as `answering` names it
    at_us: int

    def follows(self, made: Assignment, generation: int) -> bool:
        """Return whether calls are answered by an assignment, or will be as soon as somebody asks."""
        there = self.models.get(answering(made.model, made.site), made.number)
        return self.generation >= generation and there == made.number


def answering(model: str, site: str) -> str:
    """Return what a server calls a model's champion, of a site where it has its own.

    >>> answering("wear", ""), answering("wear", "plant-b")
    ('wear', 'wear, plant-b')
    """
    return f"{model}, {site}" if site else model


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
