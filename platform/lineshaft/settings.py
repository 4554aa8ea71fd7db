"""Every setting of the product, read from the environment here and nowhere else."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Settings; each is read from `LINESHAFT_<NAME>` in the environment."""

    model_config = SettingsConfigDict(env_prefix="LINESHAFT_", frozen=True)

    home: Path = Path(".lineshaft")
    """Where local state lives: offline tables, the embedded server's data, the catalogue."""
    data: Path = Path("../shared/data")
    """Where real machine data sets lie, for demos and tests that read them by path."""
    repo: Path = Path("feature_repo")
    """The feature repository: plain Feast objects."""
    policies: Path = Path("governance")
    """Suites and policies: what data must be, and what a model must show."""
    project: str = "dev"
    """The environment: its own key prefix, catalogue, slots and grants. One called dev-… is an engineer's own: it has a
    folder in the home, a place in the offline store and a database (a schema of Postgres) to itself besides."""
    redis_url: SecretStr | None = None
    """The online store: redis://, rediss://, unix://, redis+sentinel://, redis+cluster://; unset starts a Valkey."""
    offline_url: str | None = None
    """The offline store: a folder or an s3:// URL; unset is `<home>/offline`."""
    database_url: SecretStr | None = None
    """Catalogue and model registry; unset is SQLite in `<home>`."""
    grpc_address: str = "127.0.0.1:7700"
    """Where `lineshaft serve` listens."""
    max_streams: int = Field(default=16, ge=1, le=10_000)
    """Streams that one process holds at a time: watches, streams of questions, training sets."""
    tls_cert: Path | None = None
    """PEM file of the gRPC server's certificate, with its chain; read again when it changes."""
    tls_key: Path | None = None
    """PEM file of the certificate's key."""
    tls_client_ca: Path | None = None
    """PEM file of the authority whose certificates callers must show; unset asks for none."""
    http_address: str = ""
    """Where `lineshaft serve` and `up` answer Feast's HTTP contract, such as 127.0.0.1:6566; empty: nowhere."""
    mlflow_address: str = ""
    """Where `lineshaft serve` and `up` answer MLflow's registry client, such as 127.0.0.1:7703; empty: nowhere."""
    auth_tokens: bool = False
    """Let in who shows a token of `lineshaft tokens create`; other calls are refused."""
    oidc_issuer: str = ""
    """Let in who shows a token of this OpenID provider, as its tokens name it (`iss`); empty: no provider."""
    oidc_audience: str = ""
    """Whom the provider's tokens must be meant for (`aud`)."""
    oidc_keys: str = ""
    """The provider's public keys (JWKS): an https:// URL or a file."""
    oidc_algorithms: str = "RS256,ES256"
    """Signatures that are taken, of public keys only."""
    oidc_claim: str = "groups"
    """The claim with a list of grants; `lineshaft:vibration:reader` in it is the grant `vibration:reader`."""
    rate_per_s: float = Field(default=0.0, ge=0.0)
    """Calls a second that each token may make; 0: as many as it likes."""
    rate_burst: int = Field(default=100, ge=1)
    """Calls that a token may make at once after it was quiet."""
    metrics_address: str = ""
    """Where `lineshaft serve` and `up` show their numbers to Prometheus, such as 127.0.0.1:7702; empty: nowhere."""
    web_address: str = "127.0.0.1:7701"
    """Where the admin page listens; other machines reach it where it is encrypted and asks who they are, or proxied."""
    web_hosts: str = ""
    """Names under which browsers reach the admin page, by commas; its addresses and localhost need none."""
    web_proxied: bool = False
    """A proxy that authenticates stands before the admin page: then it may listen where other machines reach it."""
    redis_timeout_s: float = Field(default=0.025, gt=0.0, le=60.0)
    """Budget of one online read, in seconds; a hung server costs no more than this."""
    log_served: float = Field(default=0.0, ge=0.0, le=1.0)
    """How many of the answers over gRPC are logged for `lineshaft verify served`: 0 none, 0.1 one in ten, 1 all."""
    log_flush_s: float = Field(default=5.0, gt=0.0, le=3600.0)
    """Seconds after which logged answers and predictions are on disk: what a crash loses at most."""
    log_format: Literal["text", "json"] = "text"
    """How `lineshaft serve` and `up` write their log to standard error: for people, or a line of JSON each."""
    log_slow_s: float = Field(default=0.1, ge=0.0)
    """Seconds from which on a call that was answered is logged as slow; 0: none is."""
    alert_routes: SecretStr | None = None
    """Where alerts go: log, https://host/hook, smtp://host:25?to=you@plant.example, kafka://host/topic; unset: log."""
    forge_token: SecretStr | None = None
    """What lets `lineshaft plan --post` write its comment on a pull request."""
    openlineage: str = ""
    """Where jobs tell OpenLineage of what they read and made: a file, or an http(s):// URL; empty: nowhere."""
    traces: str = ""
    """Where spans of calls go: by OTLP to one such as http://127.0.0.1:4318/v1/traces, or to a file; empty: nowhere."""
    traces_share: float = Field(default=1.0, ge=0.0, le=1.0)
    """How many of the traces that begin here are kept; a caller's own trace is kept if the caller keeps it."""
    workers: int = Field(default=1, ge=1, le=64)
    """How many processes `lineshaft serve` answers with, on one port."""
    worker: int | None = None
    """Which of them this process is: set by `lineshaft serve` for those it starts."""

    @field_validator("home", "data", "repo", "policies", "tls_cert", "tls_key", "tls_client_ca")
    @classmethod
    def _stand_alone(cls, path: Path | None) -> Path | None:
        """Make folders absolute once: jobs run in folders of their own."""
        return path.absolute() if path is not None else None

    @field_validator("project")
    @classmethod
    def _named(cls, project: str) -> str:
        """Refuse a project that would lead somewhere as a folder's name, or out of a schema's."""
        if _own(project) and not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,50}", project):
            raise ValueError(f"{project!r} is no name of an environment: use letters, digits, _ and -")
        return project

    @model_validator(mode="after")
    def _apart(self) -> Self:
        """Give an engineer's own environment a folder of its own."""
        if _own(self.project) and self.home.name != self.project:
            object.__setattr__(self, "home", self.home / self.project)
        return self

    def offline_root(self) -> str:
        """Return the offline store's folder or URL."""
        if self.offline_url and _own(self.project):
            return f"{self.offline_url.rstrip('/')}/{self.project}"
        return self.offline_url or str((self.home / "offline").resolve())

    def database(self) -> str:
        """Return the SQLAlchemy URL of catalogue and registry."""
        if self.database_url is None:
            return f"sqlite:///{(self.home / 'lineshaft.db').resolve()}"
        url = self.database_url.get_secret_value()
        if not _own(self.project):
            return url
        if url.startswith("postgres"):  # a schema of that name, made by the first migration
            return f"{url}{'&' if '?' in url else '?'}options=-csearch_path%3D%22{self.project}%22"
        return f"{url.removesuffix('.db')}.{self.project}.db"


def _own(project: str) -> bool:
    """Tell whether an environment is one engineer's."""
    return project.startswith("dev-")


def misspelt() -> list[str]:
    """Return the names in the environment that look like settings and are none: nobody would read them."""
    prefix = Settings.model_config["env_prefix"]
    known = {f"{prefix}{name}".upper() for name in Settings.model_fields}
    return sorted(name for name in os.environ if name.startswith(prefix) and name.upper() not in known)
