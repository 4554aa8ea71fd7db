"""MLflow's REST registry, and the files of its models: what `mlflow.set_registry_uri` may point at."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote, unquote

from lineshaft.access.guard import Caller
from lineshaft.errors import ConflictError, NotFoundError
from lineshaft.interop import mlflow_search as search
from lineshaft.interop import mlflow_words as words
from lineshaft.interop.mlflow_files import folder_of
from lineshaft.interop.mlflow_registry import ARTIFACTS, INCOMING, MlflowRegistry
from lineshaft.registry.annotations import Said
from lineshaft.registry.cards import OF_THE_MODEL
from lineshaft.serving.answers import on
from lineshaft.serving.calls import Told, told_to
from lineshaft.serving.door import Door
from lineshaft.serving.http_app import HttpApp, Reply, Request, Route, Routes, json_object
from lineshaft.serving.http_port import http_port
from lineshaft.serving.server import Limits

SETTING = "LINESHAFT_MLFLOW_ADDRESS"
_API = "/api/2.0/mlflow"
_LISTS = frozenset({"order_by", "stages"})
Asked = Mapping[str, Any]
Act = Callable[[Caller, Asked], dict[str, Any]]


class MlflowHttp:
    """MLflow's routes."""

    def __init__(self, registry: MlflowRegistry, pool: Executor, *, scheme: str = "http") -> None:
        self._registry, self._pool, self._scheme = registry, pool, scheme

    @property
    def routes(self) -> Routes:
        """Return what is answered, by method and path."""
        models: dict[str, Act] = {
            "POST create": self._create,
            "POST rename": self._rename,
            "PATCH update": self._update,
            "DELETE delete": self._delete,
            "GET get": self._get,
            "GET search": self._search,
            "POST get-latest-versions": self._latest,
            "GET get-latest-versions": self._latest,
            "POST set-tag": self._set_tag,
            "DELETE delete-tag": self._delete_tag,
            "POST alias": self._set_alias,
            "DELETE alias": self._delete_alias,
            "GET alias": self._by_alias,
        }
        versions: dict[str, Act] = {
            "PATCH update": self._update_version,
            "POST transition-stage": self._stage,
            "DELETE delete": self._delete_version,
            "GET get": self._get_version,
            "GET search": self._search_versions,
            "POST set-tag": self._set_version_tag,
            "DELETE delete-tag": self._delete_version_tag,
        }
        return {
            **{_path(name, "registered-models"): self._route(act) for name, act in models.items()},
            **{_path(name, "model-versions"): self._route(act) for name, act in versions.items()},
            _path("POST create", "model-versions"): self._register,
            _path("GET get-download-uri", "model-versions"): self._download_uri,
            f"GET {ARTIFACTS}": self._listed,
            f"GET {ARTIFACTS}/{{path:path}}": self._file,
            f"PUT {ARTIFACTS}/{INCOMING}/{{path:path}}": self._put,
        }

    def _route(self, act: Act) -> Route:
        async def route(request: Request) -> Reply:
            asked = _asked(request)
            return Reply(content=await on(self._pool, lambda: act(request.caller, asked)))

        return route

    def _create(self, caller: Caller, asked: Asked) -> dict[str, Any]:
        name, tags = words.model_name(asked), words.tags(asked)
        card = self._registry.create(caller, name, description=words.text(asked, "description"), tags=tags)
        return {"registered_model": words.model_json(card, None)}

    def _model(self, caller: Caller, name: str) -> dict[str, Any]:
        card = self._registry.model(caller, name)
        versions = self._registry.annotations.versions(name)
        return {"registered_model": words.model_json(card, versions[-1] if versions else None)}

    def _get(self, caller: Caller, asked: Asked) -> dict[str, Any]:
        return self._model(caller, words.model_name(asked))

    def _update(self, caller: Caller, asked: Asked) -> dict[str, Any]:
        name = words.model_name(asked)
        self._registry.changeable(caller, name)
        self._registry.annotations.describe(name, words.text(asked, "description"))
        return self._model(caller, name)

    def _rename(self, caller: Caller, asked: Asked) -> dict[str, Any]:
        new = words.model_name(asked, "new_name")
        name = words.model_name(asked)
        self._registry.changeable(caller, name)
        return self._model(caller, self._registry.annotations.rename(name, new).name)

    def _delete(self, caller: Caller, asked: Asked) -> dict[str, Any]:
        name = words.model_name(asked)
        self._registry.changeable(caller, name)
        self._registry.annotations.delete(name, actor=caller.principal.name, reason="model deleted through MLflow")
        return {}

    def _search(self, caller: Caller, asked: Asked) -> dict[str, Any]:
        cards = {card.name: card for card in self._registry.models(caller)}
        newest = {card.model: card for card in self._registry.versions(caller)}
        found, token = _page(search.MODELS, [_record(card.name, card) for card in cards.values()], asked, usual=100)
        shown = [words.model_json(cards[one["name"]], newest.get(one["name"])) for one in found]
        return {"registered_models": shown, **_next(token)}

    def _latest(self, caller: Caller, asked: Asked) -> dict[str, Any]:
        name = words.model_name(asked)
        self._registry.model(caller, name)
        stages = {words.stage(one) for one in words.texts(asked, "stages")} or {"None"}
        newest = self._registry.annotations.versions(name)[-1:]
        return {"model_versions": [words.version_json(card) for card in newest if "None" in stages]}

    def _set_tag(self, caller: Caller, asked: Asked) -> dict[str, Any]:
        name = words.model_name(asked)
        self._registry.tag(caller, name, *words.tag(asked))
        return {}

    def _delete_tag(self, caller: Caller, asked: Asked) -> dict[str, Any]:
        name, key = words.model_name(asked), words.tag_key(asked)
        self._registry.changeable(caller, name)
        self._registry.annotations.untag(name, OF_THE_MODEL, key)
        return {}

    def _set_alias(self, caller: Caller, asked: Asked) -> dict[str, Any]:
        name, alias = words.model_name(asked), words.alias(asked, to_set=True)
        self._registry.set_alias(caller, name, alias, words.version_number(asked))
        return {}

    def _delete_alias(self, caller: Caller, asked: Asked) -> dict[str, Any]:
        name, alias = words.model_name(asked), words.alias(asked)
        self._registry.drop_alias(caller, name, alias)
        return {}

    def _by_alias(self, caller: Caller, asked: Asked) -> dict[str, Any]:
        name, alias = words.model_name(asked), words.alias(asked)
        return {"model_version": words.version_json(self._registry.by_alias(caller, name, alias))}

    async def _register(self, request: Request) -> Reply:
        asked = _asked(request)
        name = words.model_name(asked)
        said = Said(
            source=words.text(asked, "source", needed=True),
            description=words.text(asked, "description"),
            run_id=words.text(asked, "run_id"),
            run_link=words.text(asked, "run_link"),
            tags=words.tags(asked),
        )
        host = request.headers.get("host", "")
        card = await on(self._pool, lambda: self._registry.register(request.caller, name, said, host=host))
        return Reply(content={"model_version": words.version_json(card)})

    def _version(self, caller: Caller, asked: Asked) -> tuple[str, int]:
        """Return which version is to be changed, if the caller may."""
        name, number = words.model_name(asked), words.version_number(asked)
        self._registry.changeable(caller, name)
        self._registry.annotations.version(name, number)
        return name, number

    def _get_version(self, caller: Caller, asked: Asked) -> dict[str, Any]:
        name, number = words.model_name(asked), words.version_number(asked)
        return {"model_version": words.version_json(self._registry.version(caller, name, number))}

    def _update_version(self, caller: Caller, asked: Asked) -> dict[str, Any]:
        name, number = self._version(caller, asked)
        card = self._registry.annotations.describe_version(name, number, words.text(asked, "description"))
        return {"model_version": words.version_json(card)}

    def _stage(self, caller: Caller, asked: Asked) -> dict[str, Any]:
        stage = words.stage(words.text(asked, "stage", needed=True))
        name, number = self._version(caller, asked)
        raise ConflictError(
            f"{name}@{number} cannot be put into {stage}: there are no stages here",
            fix="set the alias champion, challenger or shadow, which passes the gate",
        )

    def _delete_version(self, caller: Caller, asked: Asked) -> dict[str, Any]:
        name, number = self._version(caller, asked)
        actor, reason = caller.principal.name, "version deleted through MLflow"
        self._registry.annotations.delete_version(name, number, actor=actor, reason=reason)
        return {}

    def _search_versions(self, caller: Caller, asked: Asked) -> dict[str, Any]:
        cards = {(card.model, card.number): card for card in self._registry.versions(caller)}
        records = [
            {
                **_record(card.model, card),
                "version": card.number,
                "source": card.source,
                "run_id": card.run_id,
            }
            for card in cards.values()
        ]
        found, token = _page(search.VERSIONS, records, asked, usual=200_000)
        shown = [words.version_json(cards[one["name"], one["version"]]) for one in found]
        return {"model_versions": shown, **_next(token)}

    def _set_version_tag(self, caller: Caller, asked: Asked) -> dict[str, Any]:
        key, value = words.tag(asked)
        name, number = self._version(caller, asked)
        self._registry.tag(caller, name, key, value, number=number)
        return {}

    def _delete_version_tag(self, caller: Caller, asked: Asked) -> dict[str, Any]:
        key = words.tag_key(asked)
        name, number = self._version(caller, asked)
        self._registry.annotations.untag(name, number, key)
        return {}

    async def _download_uri(self, request: Request) -> Reply:
        asked = _asked(request)
        name, number = words.model_name(asked), words.version_number(asked)
        await on(self._pool, lambda: self._registry.version(request.caller, name, number))
        place = f"{self._scheme}://{request.headers.get('host', '')}{ARTIFACTS}/models/{_in_path(name)}/{number}"
        return Reply(content={"artifact_uri": place})

    async def _listed(self, request: Request) -> Reply:
        path = request.query.get("path", [""])[0].strip("/")
        place, _, rest = path.partition("/")
        if place == INCOMING:
            found = await on(self._pool, lambda: self._registry.incoming.listed(rest))
        else:
            files = await on(self._pool, lambda: self._folder(request.caller, path))
            found = {name: len(content) for name, content in files.items()}
        files_json = [{"path": name, "is_dir": size is None, "file_size": size or 0} for name, size in found.items()]
        return Reply(content={"files": files_json})

    async def _file(self, request: Request) -> Reply:
        place, _, rest = request.open["path"].partition("/")
        if place == INCOMING:
            return Reply(content=await on(self._pool, lambda: self._registry.incoming.read(rest)))
        folder, _, name = request.open["path"].rpartition("/")
        files = await on(self._pool, lambda: self._folder(request.caller, folder))
        if name not in files:
            raise NotFoundError(f"{folder} has no file {name!r}", fix=f"it has {', '.join(files)}")
        return Reply(content=files[name])

    async def _put(self, request: Request) -> Reply:
        path = request.open["path"]
        await on(self._pool, lambda: self._registry.incoming.put(path, request.body))
        return Reply(content={})

    def _folder(self, caller: Caller, path: str) -> dict[str, bytes]:
        """Return the folder `models/<name>/<number>`."""
        parts = path.split("/")
        if len(parts) != 3 or parts[0] != "models" or not parts[2].isdecimal():
            raise NotFoundError(f"there is no folder {path!r}", fix="ask for the version's download uri")
        card = self._registry.version(caller, unquote(parts[1].replace("=", "%")), int(parts[2]))
        registry = self._registry.annotations.registry
        version = registry.get(card.model, card.number)
        return folder_of(version, registry.load(version))


def _in_path(name: str) -> str:
    """Return a name as it stands in paths: its client sends them as they are in one place and quoted in another.

    >>> _in_path("pump 7")
    'pump=207'
    """
    return quote(name, safe="").replace("%", "=")


def _path(name: str, kind: str) -> str:
    method, _, verb = name.partition(" ")
    return f"{method} {_API}/{kind}/{verb}"


def _asked(request: Request) -> Asked:
    """Return what a request says, in its body or in its query."""
    if request.body:
        return json_object(request.body)
    return {key: list(told) if key in _LISTS else told[0] for key, told in request.query.items()}


def _record(name: str, card: Any) -> dict[str, Any]:
    return {
        "name": name,
        "creation_timestamp": card.created_us // 1000,
        "last_updated_timestamp": card.changed_us // 1000,
        "tags": card.tags,
    }


def _page(
    kind: search.Searchable, records: list[dict[str, Any]], asked: Asked, *, usual: int
) -> tuple[list[search.Record], str]:
    return search.page(
        records,
        kind,
        filtered=words.text(asked, "filter"),
        ordered=words.texts(asked, "order_by"),
        most=words.whole(asked, "max_results", usual),
        token=words.text(asked, "page_token"),
    )


def _next(token: str) -> dict[str, str]:
    return {"next_page_token": token} if token else {}


@contextmanager
def mlflow_http(
    registry: MlflowRegistry, address: str, *, limits: Limits, door: Door, told: tuple[Told, ...] = ()
) -> Iterator[str]:
    """Answer MLflow's registry; yield the address, its port filled in. Nothing for an empty one.

    Raises `InputError` for an address that other machines can reach, unless the door is encrypted and guarded.
    """
    if not address:
        yield ""
        return
    door.refuse_unguarded(address, setting=SETTING)
    with ThreadPoolExecutor(limits.threads, thread_name_prefix="mlflow") as pool:
        routes = MlflowHttp(registry, pool, scheme=door.scheme).routes
        app = HttpApp(routes, limits=limits, door=door, told=told_to(told), words=words.mlflow_words)
        with http_port(
            app, address, setting=SETTING, grace_s=limits.grace_s, shared=limits.shared_port, tls=door.tls
        ) as bound:
            yield bound
