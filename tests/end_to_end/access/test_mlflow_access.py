"""Who gets what of MLflow's registry: every route with credentials of each kind, over a real socket."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from lineshaft.access.denials import Denials
from lineshaft.access.guard import Guard
from lineshaft.access.principal import Principal, Role, grants_of
from lineshaft.access.rules import RULES
from lineshaft.clock import SystemClock
from lineshaft.errors import ConflictError, UnauthenticatedError
from lineshaft.interop.mlflow_files import Incoming
from lineshaft.interop.mlflow_http import MlflowHttp, mlflow_http
from lineshaft.interop.mlflow_registry import MlflowRegistry
from lineshaft.registry.annotations import Annotations
from lineshaft.registry.migrate import upgrade
from lineshaft.registry.models import open_registry
from lineshaft.serving.door import Door
from lineshaft.serving.server import Limits

API, FILES = "/api/2.0/mlflow", "/api/2.0/mlflow-artifacts/artifacts"
CALLERS = {
    "reader": "vibration:reader",
    "writer": "vibration:writer",
    "admin": "vibration:admin",
    "every reader": "*:reader",
    "other reader": "process:reader",
    "other admin": "process:admin",
}
OF = {"name": "pump"}
MODELS, VERSIONS = f"{API}/registered-models", f"{API}/model-versions"
READS: dict[str, dict[str, Any]] = {
    f"GET {MODELS}/get": OF,
    f"GET {MODELS}/get-latest-versions": OF,
    f"POST {MODELS}/get-latest-versions": OF,
    f"GET {MODELS}/alias": {**OF, "alias": "latest"},
    f"GET {VERSIONS}/get": {**OF, "version": "1"},
    f"GET {VERSIONS}/get-download-uri": {**OF, "version": "1"},
}
WRITES: dict[str, dict[str, Any]] = {
    f"POST {MODELS}/rename": {**OF, "new_name": "fan"},
    f"PATCH {MODELS}/update": {**OF, "description": "d"},
    f"DELETE {MODELS}/delete": OF,
    f"POST {MODELS}/set-tag": {**OF, "key": "k", "value": "v"},
    f"DELETE {MODELS}/delete-tag": {**OF, "key": "k"},
    f"POST {MODELS}/alias": {**OF, "alias": "champion", "version": "1"},
    f"DELETE {MODELS}/alias": {**OF, "alias": "best"},
    f"POST {VERSIONS}/create": {**OF, "source": "s3://elsewhere"},
    f"PATCH {VERSIONS}/update": {**OF, "version": "1", "description": "d"},
    f"POST {VERSIONS}/transition-stage": {**OF, "version": "1", "stage": "Production"},
    f"DELETE {VERSIONS}/delete": {**OF, "version": "1"},
    f"POST {VERSIONS}/set-tag": {**OF, "version": "1", "key": "k", "value": "v"},
    f"DELETE {VERSIONS}/delete-tag": {**OF, "version": "1", "key": "k"},
}
OTHERS = {
    f"GET {MODELS}/search",
    f"GET {VERSIONS}/search",
    f"POST {MODELS}/create",
    f"GET {FILES}",
    f"GET {FILES}/{{path:path}}",
    f"PUT {FILES}/incoming/{{path:path}}",
}
"""Routes that are about no model that there is."""


class Known:
    """Whoever shows his name has the grant of it."""

    def principal(self, secret: str) -> Principal:
        """Return who it is."""
        if secret not in KEYS:
            raise UnauthenticatedError("unknown")
        return Principal(name=secret, grants=grants_of([CALLERS[KEYS[secret]]]))


KEYS = {f"key.{place}": name for place, name in enumerate(CALLERS)}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Serve one version of a model of team vibration, which is champion, so that it cannot be deleted."""
    folder = tmp_path_factory.mktemp("mlflow")
    url = f"sqlite:///{folder}/r.db"
    upgrade(url)
    models = open_registry(database_url=url, artifacts=folder / "artifacts", clock=SystemClock())
    registry = mlflow_registry(folder, models)
    registry.annotations.create("pump", team="vibration", description="", tags={})
    registry.annotations.create("fan", team="vibration", description="", tags={})
    guard = Guard(openid=Known(), denials=Denials(folder / "audit", clock=SystemClock()))
    with mlflow_http(registry, "127.0.0.1:0", limits=Limits(), door=Door(guard=guard)) as bound:
        yield f"http://{bound}"
    models.engine.dispose()


def mlflow_registry(folder: Path, models: Any) -> MlflowRegistry:
    """Return a registry whose gate nothing passes."""

    def assign(*_: object, **__: object) -> Any:
        raise ConflictError("nothing passes")

    return MlflowRegistry(
        annotations=Annotations(registry=models, environment="dev"),
        incoming=Incoming(folder / "incoming"),
        assign=assign,
        service=assign,
    )


def status(base: str, route: str, said: dict[str, Any], caller: str | None) -> int:
    """Return the status of a request as somebody makes it."""
    method, path = route.split(" ")
    secret = next((key for key, name in KEYS.items() if name == caller), None)
    headers = {"authorization": f"Bearer {secret}"} if secret else {}
    given: dict[str, Any] = {"params": said} if method == "GET" else {"json": said}
    return httpx.request(method, base + path, headers=headers, **given).status_code


def let_in(found: int) -> bool:
    """Tell whether a request got as far as what it is about, which may not be there."""
    assert found in {200, 400, 401, 403, 404, 409}
    return found not in {401, 403}


@pytest.mark.parametrize("route", READS)
def test_a_model_is_read_by_those_who_may_read_its_team(base: str, route: str) -> None:
    """Readers of the team are let in, those of another and those who show nothing are not."""
    may = {name for name in (*CALLERS, None) if let_in(status(base, route, READS[route], name))}

    assert may == {"reader", "writer", "admin", "every reader"}


@pytest.mark.parametrize("route", [route for route in WRITES if "delete" not in route.rpartition("/")[2]])
def test_a_model_is_changed_by_those_who_write_for_its_team(base: str, route: str) -> None:
    """Writers of the team are let in; readers of it and writers of another are not."""
    may = {name for name in (*CALLERS, None) if let_in(status(base, route, WRITES[route], name))}

    assert may == {"writer", "admin"}


def test_a_model_is_not_deleted_by_those_who_do_not_write_for_its_team(base: str) -> None:
    """Whoever may not change it is refused; it is still there."""
    for route in (route for route in WRITES if route.endswith("delete")):
        for caller in ("reader", "every reader", "other reader", None):
            assert status(base, route, WRITES[route], caller) in {401, 403}
    assert status(base, f"DELETE {MODELS}/delete", OF, "other admin") == 403
    assert status(base, f"GET {MODELS}/get", OF, "reader") == 200


def test_a_search_finds_what_the_caller_may_read(base: str) -> None:
    """Another team's search finds nothing of ours."""
    found = {}
    for key, name in KEYS.items():
        reply = httpx.get(f"{base}{MODELS}/search", headers={"authorization": f"Bearer {key}"})
        found[name] = [one["name"] for one in reply.json()["registered_models"]]

    assert {name for name, models in found.items() if models} == {"reader", "writer", "admin", "every reader"}
    assert found["reader"] == ["fan", "pump"]


def test_a_model_belongs_to_the_team_that_makes_it(base: str) -> None:
    """The only team of a writer; one that a tag names must be one he writes for."""
    create = f"POST {MODELS}/create"
    strange = {"name": "theirs", "tags": [{"key": "lineshaft.team", "value": "vibration"}]}

    assert status(base, create, strange, "other admin") == 403
    assert status(base, create, {"name": "mill"}, "other admin") == 200
    assert status(base, f"GET {MODELS}/get", {"name": "mill"}, "reader") == 403
    assert status(base, create, {"name": "x"}, "reader") == 403


def test_files_are_put_by_writers(base: str) -> None:
    """Readers put nothing; nobody puts what leads elsewhere."""
    assert status(base, f"PUT {FILES}/incoming/a/MLmodel", {}, "reader") == 403
    assert status(base, f"PUT {FILES}/incoming/a/MLmodel", {}, "writer") == 200
    assert status(base, f"GET {FILES}/incoming/a/MLmodel", {}, "reader") == 200
    assert status(base, f"GET {FILES}", {"path": "incoming/a"}, None) == 401
    assert status(base, f"PUT {FILES}/incoming/a/%2e%2e/%2e%2e/x", {}, "writer") == 400


def test_every_route_has_a_rule_and_a_row_here() -> None:
    """Whoever adds a route of MLflow's must say who may ask it, and test it."""
    nothing: Any = None
    with ThreadPoolExecutor() as pool:
        routes = set(MlflowHttp(nothing, pool).routes)

    assert routes == {name for name in RULES if "/api/2.0/mlflow" in name}
    assert routes == set(READS) | set(WRITES) | OTHERS
    assert {RULES[name] for name in READS} == {Role.READER}
    assert {RULES[name] for name in WRITES} == {Role.WRITER}
