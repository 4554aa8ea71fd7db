"""A guarded server, and credentials of every kind: good ones, and each way in which they can be none."""

from __future__ import annotations

import base64
import hmac
import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jwt
import pyarrow as pa
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from lineshaft.access.denials import Denials
from lineshaft.access.guard import Guard
from lineshaft.access.openid import OpenId, Provider
from lineshaft.access.principal import Role, grants_of
from lineshaft.access.tokens import Tokens
from lineshaft.clock import SystemClock
from lineshaft.ops.pushes import Pushes
from lineshaft.ops.row_pushes import RowPushes
from lineshaft.registry.catalog_values import FixedCatalog
from lineshaft.registry.migrate import upgrade
from lineshaft.registry.tokens import TokenRegister
from lineshaft.serving.door import Door
from lineshaft.serving.feast_http import feast_http
from lineshaft.serving.features import FeatureHandler, Plans, TrainingSetHandler
from lineshaft.serving.server import Handlers, background_server
from lineshaft.specs import Feature, Service, ServiceView, Source, View, row_schema
from lineshaft.stores.delta import DeltaOfflineStore
from lineshaft.stores.embedded import embedded_server
from lineshaft.stores.online_redis import RedisOnlineStore

HOUR_US = 3_600_000_000
CLOCK = SystemClock()
NOW = CLOCK.now_us() // 1_000_000
VIEW = View(
    name="pumps",
    source=Source(name="s", channels=("x",), units=("g",)),
    entity_keys=(("asset_id", "string"),),
    features=(Feature(name="rms"),),
    team="vibration",
)
OURS = Service(
    name="ours", views=(ServiceView(view="pumps", version=VIEW.version, features=("rms",)),), team="vibration"
)
ROWS = View(
    name="lab",
    source=Source(name="lab_rows", channels=(), units=(), kind="rows"),
    entity_keys=(("asset_id", "string"),),
    features=(Feature(name="level"),),
    team="vibration",
)
ISSUER, AUDIENCE = "https://id.example/plant", "lineshaft"
READER = "lineshaft:vibration:reader"


class OneModel:
    """A predictor whose model reads `ours`: it says who may not, and has no champion for who may."""

    def predict_at_once(self, question: Any, *, allows: Any = None, budget_s: float) -> None:
        """Have it asked on a thread."""

    def predict(self, question: Any, *, allows: Any = None) -> Any:
        """Ask whether the service may be read; then answer nothing that can be sent."""
        if allows is not None:
            allows(OURS)
        raise LookupError

    def ready(self, model: str) -> Any:
        """Return the first version, which reads `ours`."""
        return SimpleNamespace(service=OURS, version=SimpleNamespace(number=1, model=model, features=("pumps__rms",)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A guarded server on two ports, and what callers of each kind show."""

    grpc: str
    http: str
    handlers: Handlers
    headers: Mapping[str, str | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Issuer:
    """Ways to make what callers show."""

    database: str
    register: TokenRegister
    key: Any
    other_key: Any

    def token(self, *grants: str, lives_us: int = HOUR_US) -> str:
        """Return what a new token is shown as."""
        return "Bearer " + self.register.create("t", grants_of(grants), lives_us=lives_us, actor="test")[1]

    def signed(self, *groups: str, key: Any = None, alg: str = "RS256", kid: str = "k1", **claims: Any) -> str:
        """Return what a provider's token is shown as; a claim of None is left out."""
        said = {"iss": ISSUER, "aud": AUDIENCE, "sub": "ana", "exp": NOW + 86_400, "groups": list(groups), **claims}
        said = {name: value for name, value in said.items() if value is not None}
        signing: Any = (self.key if key is None else key) if alg != "none" else None
        return "Bearer " + jwt.encode(said, signing, algorithm=alg, headers={"kid": kid})


def write_keys(file: Path, **keys: Any) -> None:
    """Write the public halves of keys as a provider publishes them."""
    published = [
        {**json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key())), "kid": kid} for kid, key in keys.items()
    ]
    secret = {"kty": "oct", "kid": "secret", "k": base64.urlsafe_b64encode(b"x" * 32).decode()}
    file.write_text(json.dumps({"keys": [*published, secret]}))


def handlers_over(online: Any, offline: Any, folder: Path) -> Handlers:
    """Return handlers of one service over stores, which take readings in."""
    catalog = FixedCatalog(all_views=(VIEW, ROWS), all_services=(OURS,))
    plans = Plans(catalog=catalog, refresh_s=600.0)
    return Handlers(
        plans=plans,
        features=FeatureHandler(plans=plans, online=online, clock=CLOCK),
        training=TrainingSetHandler(plans=plans, offline=offline),
        predictor=OneModel(),
        pushes=Pushes(catalog=catalog, clock=CLOCK, inbox=folder / "inbox", rejects=folder / "rejects"),
        row_pushes=RowPushes(
            catalog=catalog, clock=CLOCK, online=online, folder=folder / "pushed", rejects=folder / "rejects"
        ),
    )


def revoked(issuer: Issuer) -> str:
    """Return a token that was revoked."""
    token, secret = issuer.register.create("t", {"vibration": Role.ADMIN}, lives_us=HOUR_US, actor="test")
    issuer.register.revoke(token.id, actor="test")
    return "Bearer " + secret


def of_another_project(issuer: Issuer) -> str:
    """Return a token of the same database that opens another environment."""
    url = issuer.database
    other = TokenRegister(url, project="elsewhere", clock=CLOCK)
    secret = other.create("t", {"vibration": Role.ADMIN}, lives_us=HOUR_US, actor="test")[1]
    other.close()
    return "Bearer " + secret


def signed_with_the_public_key(issuer: Issuer) -> str:
    """Return a token whose secret of HS256 is what the provider publishes: the classic confusion of algorithms."""
    public = issuer.key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    body = issuer.signed(READER).split(".")[1]
    head = base64.urlsafe_b64encode(json.dumps({"alg": "HS256", "typ": "JWT", "kid": "k1"}).encode()).rstrip(b"=")
    text = head.decode() + "." + body
    signature = base64.urlsafe_b64encode(hmac.digest(public, text.encode(), "sha256")).rstrip(b"=").decode()
    return f"Bearer {text}.{signature}"


def signed_with_the_published_secret(issuer: Issuer) -> str:
    """Return a token signed with a secret key that somebody published by mistake."""
    return issuer.signed(READER, key=b"x" * 32, alg="HS256", kid="secret")


def altered(issuer: Issuer) -> str:
    """Return a token whose holder gave himself another role after it was signed."""
    head, body, signature = issuer.signed("lineshaft:vibration:nothing").split(".")
    claims = json.loads(base64.urlsafe_b64decode(body + "=="))
    claims["groups"] = [READER]
    body = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
    return f"{head}.{body}.{signature}"


CREDENTIALS: dict[str, Callable[[Issuer], str | None]] = {
    # API tokens, and what is none
    "nothing": lambda _: None,
    "empty": lambda _: "",
    "another scheme": lambda issuer: issuer.token("vibration:admin").replace("Bearer", "Basic"),
    "nonsense": lambda _: "Bearer nonsense",
    "an unknown token": lambda _: "Bearer lst_" + "A" * 43,
    "half a token": lambda issuer: issuer.token("vibration:admin")[:-1],
    "an expired token": lambda issuer: issuer.token("vibration:admin", lives_us=1),
    "a revoked token": revoked,
    "a token of another project": of_another_project,
    "wrong team": lambda issuer: issuer.token("process:admin"),
    "reader": lambda issuer: issuer.token("vibration:reader"),
    "writer": lambda issuer: issuer.token("vibration:writer"),
    "admin": lambda issuer: issuer.token("vibration:admin"),
    "reader of every team": lambda issuer: issuer.token("*:reader"),
    # tokens of an OpenID provider
    "oidc reader": lambda issuer: issuer.signed(READER),
    "oidc admin among other groups": lambda issuer: issuer.signed("staff", "lineshaft:vibration:admin"),
    "oidc wrong team": lambda issuer: issuer.signed("lineshaft:process:admin"),
    "oidc no grant": lambda issuer: issuer.signed(
        "vibration:reader", "lineshaft:vibration", "lineshaft:vibration:root"
    ),
    "oidc no groups": lambda issuer: issuer.signed(groups=None),
    "oidc odd groups": lambda issuer: issuer.signed(groups={"vibration": "reader"}),
    "oidc two audiences": lambda issuer: issuer.signed(READER, aud=["other", AUDIENCE]),
    "oidc expired": lambda issuer: issuer.signed(READER, exp=NOW - 60),
    "oidc not yet valid": lambda issuer: issuer.signed(READER, nbf=NOW + 86_400),
    "oidc without an end": lambda issuer: issuer.signed(READER, exp=None),
    "oidc without a subject": lambda issuer: issuer.signed(READER, sub=None),
    "oidc wrong audience": lambda issuer: issuer.signed(READER, aud="another"),
    "oidc without an audience": lambda issuer: issuer.signed(READER, aud=None),
    "oidc wrong issuer": lambda issuer: issuer.signed(READER, iss="https://id.example/other"),
    "oidc without an issuer": lambda issuer: issuer.signed(READER, iss=None),
    "oidc alg=none": lambda issuer: issuer.signed(READER, alg="none"),
    "oidc alg not taken": lambda issuer: issuer.signed(READER, alg="RS512"),
    "oidc unsigned": lambda issuer: issuer.signed(READER).rpartition(".")[0] + ".",
    "oidc altered": altered,
    "oidc another key": lambda issuer: issuer.signed(READER, key=issuer.other_key),
    "oidc unknown key": lambda issuer: issuer.signed(READER, key=issuer.other_key, kid="k9"),
    "oidc public key as secret": signed_with_the_public_key,
    "oidc published secret": signed_with_the_published_secret,
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Serve one row of one view in one service over gRPC and HTTP, guarded, to callers it has had time to know."""
    folder = tmp_path_factory.mktemp("access")
    database, key = f"sqlite:///{folder}/registry.db", rsa.generate_private_key(public_exponent=65537, key_size=2048)
    upgrade(database)
    write_keys(folder / "keys.json", k1=key)
    with ExitStack() as stack:
        mine, servers = (TokenRegister(database, project="plant", clock=CLOCK) for _ in range(2))
        tokens = Tokens(servers, clock=CLOCK)
        openid = OpenId(Provider(issuer=ISSUER, audience=AUDIENCE, keys=str(folder / "keys.json")), clock=CLOCK)
        for one in (mine, servers, tokens, openid):
            stack.callback(one.close)
        guard = Guard(tokens=tokens, openid=openid, denials=Denials(folder / "audit", clock=CLOCK))
        online = RedisOnlineStore(
            stack.enter_context(embedded_server(folder / "online")), project="test", timeout_s=5.0
        )
        offline = DeltaOfflineStore(str(folder / "offline"))
        schema = row_schema(VIEW)
        arrays = [pa.array(c, f.type) for c, f in zip([["p0"], [1], [2], [0.5]], schema, strict=True)]
        rows = pa.Table.from_arrays(arrays, schema=schema)
        online.write(VIEW, rows)
        offline.write_rows(VIEW, rows, batch="all")
        handlers = handlers_over(online, offline, folder)
        grpc = stack.enter_context(background_server(handlers, door=Door(guard=guard)))
        http = stack.enter_context(feast_http(handlers, "127.0.0.1:0", door=Door(guard=guard)))
        other_key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        issuer = Issuer(database=database, register=mine, key=key, other_key=other_key)
        headers = {name: make(issuer) for name, make in CREDENTIALS.items()}
        time.sleep(1.5)
        yield Place(grpc=grpc, http=http, handlers=handlers, headers=headers)
