"""What it costs to ask who calls: the guard by itself, and a call over a socket with and without it."""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

from lineshaft.access.denials import Denials
from lineshaft.access.guard import Guard
from lineshaft.access.openid import OpenId, Provider
from lineshaft.access.principal import Role
from lineshaft.access.rates import Rates
from lineshaft.access.tokens import Tokens
from lineshaft.clock import SystemClock
from lineshaft.registry.catalog_values import FixedCatalog
from lineshaft.registry.migrate import upgrade
from lineshaft.registry.tokens import TokenRegister
from lineshaft.serving.client import Client
from lineshaft.serving.door import Door
from lineshaft.serving.features import FeatureHandler, Plans, TrainingSetHandler
from lineshaft.serving.server import Handlers, background_server
from lineshaft.specs import Service

CLOCK = SystemClock()
METHOD = "/lineshaft.rpc.v1.FeatureService/GetFeatures"
OURS = Service(name="ours", views=(), team="x")
DAY_US = 86_400_000_000


def cpu_us(work: Callable[[], object], *, times: int, rounds: int = 7) -> float:
    """Return the median CPU time of one run, in microseconds."""
    taken = []
    for _ in range(rounds):
        start = time.process_time()
        for _ in range(times):
            work()
        taken.append((time.process_time() - start) / times * 1e6)
    return statistics.median(taken)


def provider(folder: Path) -> tuple[Provider, list[str]]:
    """Return a provider whose keys lie in a file, and tokens of it, each of another subject."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    published = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key())) | {"kid": "k"}
    (folder / "keys.json").write_text(json.dumps({"keys": [published]}))
    said = {"iss": "i", "aud": "a", "exp": CLOCK.now_us() // 1_000_000 + 3600, "groups": ["lineshaft:x:reader"]}
    tokens = [jwt.encode({**said, "sub": f"s{n}"}, key, algorithm="RS256", headers={"kid": "k"}) for n in range(1500)]
    return Provider(issuer="i", audience="a", keys=str(folder / "keys.json")), tokens


def main() -> None:
    """Print the figures of docs/measurements.md."""
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        database = f"sqlite:///{folder}/x.db"
        upgrade(database)
        register = TokenRegister(database, project="p", clock=CLOCK)
        _, secret = register.create("t", {"x": Role.READER}, lives_us=DAY_US, actor="bench")
        tokens = Tokens(register, clock=CLOCK)
        made, signed = provider(folder)
        openid = OpenId(made, clock=CLOCK)
        for one in (register, tokens, openid):
            stack.callback(one.close)
        denials, rates = Denials(folder / "audit", clock=CLOCK), Rates(per_s=1e9, burst=10**9)
        guard = Guard(tokens=tokens, openid=openid, denials=denials)
        rated = Guard(tokens=tokens, openid=openid, denials=denials, rates=rates)
        new = iter([f"Bearer {token}" for token in signed])
        cases: dict[str, tuple[Guard, Callable[[], str], int]] = {
            "token": (guard, lambda: f"Bearer {secret}", 20_000),
            "token, rates": (rated, lambda: f"Bearer {secret}", 20_000),
            "OpenID, checked before": (guard, lambda: f"Bearer {signed[0]}", 20_000),
            "OpenID, checked": (guard, lambda: next(new), 200),
        }
        for label, (asked, shows, times) in cases.items():
            admit = lambda asked=asked, shows=shows: asked.admit(METHOD, shows(), peer="p").must_read(OURS)  # noqa: E731
            print(f"{label:24} {cpu_us(admit, times=times):7.1f} us of CPU")
        nothing: Any = None
        plans = Plans(catalog=FixedCatalog(), refresh_s=600.0)
        features = FeatureHandler(plans=plans, online=nothing, clock=CLOCK)
        handlers = Handlers(plans=plans, features=features, training=TrainingSetHandler(plans=plans, offline=nothing))
        found: dict[str, list[float]] = {"open": [], "guarded": []}
        bare = stack.enter_context(Client(stack.enter_context(background_server(handlers))))
        door = Door(guard=guard)
        known = stack.enter_context(Client(stack.enter_context(background_server(handlers, door=door)), token=secret))
        for _ in range(11):  # turn by turn, so that both meet the same machine
            found["open"].append(cpu_us(bare.services, times=300, rounds=1))
            found["guarded"].append(cpu_us(known.services, times=300, rounds=1))
        for label, taken in found.items():
            print(f"a call, {label:16} {statistics.median(taken):7.1f} us of CPU, client and server together")
        more = statistics.median(g - o for g, o in zip(found["guarded"], found["open"], strict=True))
        print(f"of it the guard          {more:7.1f} us (median of pairs)")


if __name__ == "__main__":
    main()
