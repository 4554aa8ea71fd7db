"""The same random acts on two registries through MLflow's own client: MLflow's server over its SQL store, and ours.

Runs in an environment that has MLflow, as `differential.py OURS SEED ACTS FOLDER`; prints what differed as JSON, and
while it runs how far it is. The same seed draws the same acts: what differs at turn n comes again in n + 1 acts.
"""

from __future__ import annotations

import gc
import json
import random
import sys
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from registry_sides import (  # type: ignore[import-not-found]  # beside this script
    Side,
    World,
    logged,
    mlflow_server,
)

ABSENT = 99
NAMES = ["pump", "Pump", "pump_a", "fan 2", "größe", "名前", "насос", "a.b", "x-1", "mill%", "dry'er", "été"]
BAD_NAMES = ["", " ", "a/b", "a:b", ".", "..", "a/../b"]
KEYS = ["team", "a b", "x.y", "p/q", "k:1"]
BAD_KEYS = ["", "größe", "a/../b", "/x", "k" * 251, "a\tb"]
TAKEN_KEYS = {"größe"}
"""Keys that look bad and are good to both."""
VALUES = ["", "x", "X", "blå", "100%", "it's", "v" * 300]
ALIASES = ["best", "Best", "a-b", "beta_2"]
BAD_ALIASES = ["", "latest", "LATEST", "v7", "a b", "a.b", "a" * 256]
SLOTS = ["champion", "challenger", "shadow"]
NO_VERSIONS = [str(ABSENT), "0", "-1", "x", "", "1.5", " "]
FILTERS = [
    "", " ", "name = 'pump'", "name='Pump'", "name != 'pump'", "name LIKE 'pump%'", "name like '%p%'",
    "name ILIKE 'PUMP%'",
    "name LIKE 'pump_a'", "name LIKE '%größe%'", "name IN ('pump', '名前')", "name NOT IN ('pump','fan 2')",
    "tags.team = 'x'", "tags.team != 'x'", "tags.`a b` = 'x'", "tag.team ILIKE 'X'", "tags.team LIKE '%'",
    "tags.`x.y` = ''",
    "tags.team = 'x' AND name LIKE '%p%'", "name LIKE 'p%' and tags.`a b` != 'X' AND tags.team = 'x'",
    "attribute.name = 'pump'", 'name = "pump"', "tags.team = 'blå'", "name = '名前'", "tags.team LIKE '100%'",
    # what cannot be read
    "name", "name =", "name = pump", "name = 5", "nam = 'pump'", "name > 'a'", "metric.x = '1'",
    "name = 'a' OR name = 'b'",
    "tags.team IN ('x')", "name IN ()", "name IN (1)", "(name = 'a')", "tags.team = 5", "AND", "name = 'a' AND",
    "name LIKE 3",
]  # fmt: skip
VERSION_FILTERS = [
    "run_id = 'run-1'", "run_id != 'run-1'", "run_id IN ('run-1', 'run-2')", "run_id NOT IN ('run-1')", "run_id = ''",
    "source_path LIKE '%/run-1/%'", "source_path != 'x'", "run_id LIKE '%a%' AND name = 'pump'",
    "version_number LIKE 1", "version_number = 'x'", "version_number = 1.5", "version_number IN (1)", "version = 1",
    "source = 'x'",
]  # fmt: skip
ORDERS: list[list[str]] = [
    [], ["name"], ["name ASC"], ["name desc"], ["last_updated_timestamp DESC"],
    ["last_updated_timestamp ASC", "name DESC"],
    ["nam"], ["name up"], ["name ASC DESC"], [""],
]  # fmt: skip
MODEL_ORDERS = [*ORDERS, ["timestamp"], ["timestamp DESC"], ["creation_timestamp"]]
VERSION_ORDERS = [*ORDERS, ["creation_timestamp"], ["creation_timestamp DESC", "name"], ["timestamp"], ["run_id"]]
TELL_EVERY = 250
TOKENS = ["", "!!!!", "abc", "e30=", "eyJvZmZzZXQiOiAieCJ9"]


Act = Callable[[Side], Any]
Drawn = tuple[Act, str, Callable[[], None]]
"""What to do, the code of a documented refusal or nothing, and what to note once it is done."""


class Acts:
    """Random acts on a world."""

    def __init__(self, rng: random.Random, world: World, runs: dict[str, str]) -> None:
        """Take the model folders by the run that logged them, as MLflow's server wants them."""
        self.rng, self.world, self.runs = rng, world, runs

    def name(self, *, bad: float = 0.05) -> str:
        """Draw a name: mostly of a model that is there."""
        if self.rng.random() < bad:
            return self.rng.choice(BAD_NAMES)
        known: list[str] = list(self.world.alive)
        return self.rng.choice(known if known and self.rng.random() < 0.85 else NAMES)

    def version(self, name: str) -> str:
        """Draw a version: mostly one that is there."""
        known = sorted(self.world.alive.get(name, ()))
        return str(self.rng.choice(known)) if known and self.rng.random() < 0.85 else self.rng.choice(NO_VERSIONS)

    def tag(self) -> tuple[str, str]:
        """Draw a tag."""
        return self.rng.choice(KEYS if self.rng.random() < 0.9 else BAD_KEYS), self.rng.choice(VALUES)

    def tags(self) -> dict[str, str]:
        """Draw tags."""
        return dict(self.tag() for _ in range(self.rng.choice([0, 0, 1, 2, 3])))

    def create_model(self) -> Drawn:
        """Make a model."""
        name, tags, told = self.rng.choice([*NAMES, *NAMES, self.name(bad=0.3)]), self.tags(), self.rng.choice(VALUES)
        too_long = self.rng.random() < 0.02
        name = "n" * 201 if too_long else name
        refused = "INVALID_PARAMETER_VALUE" if too_long else ""
        return (
            lambda side: side.plain(side.client.create_registered_model(name, tags, told)),
            refused,
            lambda: self.world.alive.update({name: self.world.alive.get(name, set())}),
        )

    def rename_model(self) -> Drawn:
        """Rename a model: refused where a history is sealed under one of the names."""
        name, new, world = self.name(), self.rng.choice([*NAMES, *BAD_NAMES]), self.world
        refused = ""
        if name in world.alive and new not in BAD_NAMES and (new not in world.alive or new == name):
            if new != name and new in world.sealed:
                refused = "RESOURCE_ALREADY_EXISTS"
            elif name in world.sealed:
                refused = "INVALID_STATE"

        def note() -> None:
            world.alive[new] = world.alive.pop(name)

        return lambda side: side.plain(side.client.rename_registered_model(name, new)), refused, note

    def update_model(self) -> Drawn:
        """Describe a model."""
        name, told = self.name(), self.rng.choice(VALUES)
        return lambda side: side.plain(side.client.update_registered_model(name, told)), "", _nothing

    def delete_model(self) -> Drawn:
        """Delete a model."""
        name = self.name()
        return lambda side: side.client.delete_registered_model(name), "", lambda: self.world.deleted(name)

    def get_model(self) -> Drawn:
        """Ask for a model."""
        name = self.name()
        return lambda side: side.plain(side.client.get_registered_model(name)), "", _nothing

    def search_models(self) -> Drawn:
        """Search models, page after page."""
        told, order = self.rng.choice(FILTERS), self.rng.choice(MODEL_ORDERS)
        size, token = self.rng.choice([0, 1, 2, 3, 100, 1000, 1001]), self.rng.choice([*([""] * 8), *TOKENS])

        def act(side: Side) -> Any:
            return _pages(side, side.client.search_registered_models, told, size, order, token)

        return act, "", _nothing

    def latest(self) -> Drawn:
        """Ask for the latest versions."""
        name, stages = self.name(), self.rng.choice([None, ["None"], ["none", "Staging"], ["Production"], ["x"]])
        return lambda side: side.plain(side.client.get_latest_versions(name, stages)), "", _nothing

    def set_tag(self) -> Drawn:
        """Tag a model."""
        name, (key, value) = self.name(), self.tag()
        return lambda side: side.client.set_registered_model_tag(name, key, value), "", _nothing

    def delete_tag(self) -> Drawn:
        """Take a tag of a model away."""
        name, (key, _) = self.name(), self.tag()
        return lambda side: side.client.delete_registered_model_tag(name, key), "", _nothing

    def set_alias(self) -> Drawn:
        """Set an alias; the words of slots pass no gate here."""
        name = self.name()
        version, alias = self.version(name), self.rng.choice([*(ALIASES * 3), *BAD_ALIASES, *SLOTS])
        refused = "INVALID_STATE" if alias in SLOTS and self.world.has(name, version) else ""
        return (
            lambda side: side.client.set_registered_model_alias(name, alias, side.number(name, version)),
            refused,
            _nothing,
        )

    def delete_alias(self) -> Drawn:
        """Take an alias away."""
        name, alias = self.name(), self.rng.choice([*ALIASES, *BAD_ALIASES, *SLOTS])
        return lambda side: side.client.delete_registered_model_alias(name, alias), "", _nothing

    def by_alias(self) -> Drawn:
        """Ask for the version of an alias."""
        name, alias = self.name(), self.rng.choice([*ALIASES, *BAD_ALIASES, *SLOTS])
        return lambda side: side.plain(side.client.get_model_version_by_alias(name, alias)), "", _nothing

    def create_version(self) -> Drawn:
        """Register a version; from places that are not opened it is refused."""
        name, tags, run = self.name(), self.tags(), self.rng.choice(list(self.runs))
        source, told, link = self.runs[run], self.rng.choice(VALUES), self.rng.choice(["", "http://run.example"])
        strange = self.rng.random() < 0.05
        source = self.rng.choice(["s3://bucket/model", "http://elsewhere.example/model"]) if strange else source
        valid = name in self.world.alive and not tags.keys() & (set(BAD_KEYS) - TAKEN_KEYS)

        def act(side: Side) -> Any:
            return side.plain(side.client.create_model_version(name, source, run, tags, link, told))

        return act, "INVALID_PARAMETER_VALUE" if strange and valid else "", lambda: self._registered(name)

    def copy(self) -> Drawn:
        """Copy a version to another name."""
        name, new = self.name(bad=0), self.name(bad=0.05)
        version = self.version(name)

        def note() -> None:
            self.world.alive.setdefault(new, set())
            self._registered(new)

        def act(side: Side) -> Any:
            return side.plain(side.client.copy_model_version(side.source(name, version), new))

        return act, "", note

    def _registered(self, name: str) -> None:
        self.world.ever[name] += 1
        self.world.alive[name].add(self.world.ever[name])
        self.world.sealed.add(name)

    def update_version(self) -> Drawn:
        """Describe a version."""
        name, told = self.name(), self.rng.choice(VALUES)
        version = self.version(name)
        return (
            lambda side: side.plain(side.client.update_model_version(name, side.number(name, version), told)),
            "",
            _nothing,
        )

    def delete_version(self) -> Drawn:
        """Delete a version."""
        name = self.name()
        version = self.version(name)
        return (
            lambda side: side.client.delete_model_version(name, side.number(name, version)),
            "",
            lambda: self.world.alive[name].discard(int(version)),
        )

    def get_version(self) -> Drawn:
        """Ask for a version."""
        name = self.name()
        version = self.version(name)
        return lambda side: side.plain(side.client.get_model_version(name, side.number(name, version))), "", _nothing

    def search_versions(self) -> Drawn:
        """Search versions, page after page; by number within one name, where numbers can be shifted."""
        known = [name for name in self.world.alive if "'" not in name] or ["pump"]
        name = self.rng.choice(known)
        told, order = self.rng.choice([*FILTERS, *VERSION_FILTERS]), self.rng.choice(VERSION_ORDERS)
        first, second = self.runs
        told = told.replace("run-1", first).replace("run-2", second)
        if self.rng.random() < 0.3:
            number, sign = self.rng.choice([1, 2, 3]), self.rng.choice(["=", "!=", "<", "<=", ">", ">="])
            told, order = f"name = '{name}' AND version_number {sign} #{number}", ["version_number DESC"]
        size, token = self.rng.choice([0, 1, 2, 3, 1000, 200_001]), self.rng.choice([*([""] * 8), *TOKENS])

        def act(side: Side) -> Any:
            return _pages(side, side.client.search_model_versions, side.filtered(name, told), size, order, token)

        return act, "", _nothing

    def uri(self) -> Drawn:
        """Ask where a version can be downloaded: each side has its own place."""
        name = self.name()
        version = self.version(name)
        return (
            lambda side: bool(side.client.get_model_version_download_uri(name, side.number(name, version))),
            "",
            _nothing,
        )

    def set_version_tag(self) -> Drawn:
        """Tag a version."""
        name, (key, value) = self.name(), self.tag()
        version = self.version(name)
        return (
            lambda side: side.client.set_model_version_tag(name, side.number(name, version), key, value),
            "",
            _nothing,
        )

    def delete_version_tag(self) -> Drawn:
        """Take a tag of a version away."""
        name, (key, _) = self.name(), self.tag()
        version = self.version(name)
        return (
            lambda side: side.client.delete_model_version_tag(name, side.number(name, version), key),
            "",
            _nothing,
        )

    def stage(self) -> Drawn:
        """Ask for a stage: there are none here."""
        name, stage = self.name(), self.rng.choice(["Staging", "production", "Archived", "None", "x", ""])
        version = self.version(name)
        refused = "INVALID_STATE" if self.world.has(name, version) and stage not in {"x", ""} else ""
        return (
            lambda side: side.plain(
                side.client.transition_model_version_stage(name, side.number(name, version), stage)
            ),
            refused,
            _nothing,
        )


WEIGHTS = {
    "create_model": 8, "rename_model": 4, "update_model": 4, "delete_model": 2, "get_model": 6, "search_models": 10,
    "latest": 3, "set_tag": 6, "delete_tag": 3, "set_alias": 8, "delete_alias": 3, "by_alias": 4, "create_version": 14,
    "copy": 3, "update_version": 4, "delete_version": 4, "get_version": 6, "search_versions": 12, "uri": 2,
    "set_version_tag": 6, "delete_version_tag": 3, "stage": 3,
}  # fmt: skip


def _nothing() -> None:
    return None


def _pages(side: Side, search: Any, told: str, size: int, order: list[str], token: str) -> Any:
    pages = []
    while True:
        found = search(told, size, order, token or None)
        pages.append([side.plain(one, searched=True) for one in found])
        token = found.token
        if not token or size == 0 or len(pages) > 20:
            return [*pages, bool(token)]


def outcome(act: Act, side: Side) -> tuple[str, Any]:
    """Return the code of an error, empty where there is none, and what was answered."""
    try:
        return "", act(side)
    except Exception as error:  # noqa: BLE001 - a code or a kind of error is what is compared
        return getattr(error, "error_code", type(error).__name__), str(error)


def compare(ours: Side, theirs: Side, acts: Acts, count: int) -> dict[str, Any]:
    """Act so often, and return what differed where nobody said that it would."""
    kinds, refused, codes = Counter[str](), Counter[str](), Counter[str]()
    differences: list[dict[str, Any]] = []
    started = time.perf_counter()
    for turn in range(count):
        if turn % TELL_EVERY == TELL_EVERY - 1:
            passed = round(time.perf_counter() - started)
            print(f"{turn + 1} of {count} acts, {passed} s, {differences}", file=sys.stderr, flush=True)  # noqa: T201
        kind = acts.rng.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
        act, documented, note = getattr(acts, kind)()
        kinds[kind] += 1
        code, told = outcome(act, ours)
        if documented:
            refused[f"{kind} {documented}"] += 1
            if code != documented:
                differences.append({"turn": turn, "kind": kind, "ours": [code, str(told)], "documented": documented})
            continue
        expected, answer = outcome(act, theirs)
        codes[f"{kind} {expected}" if expected == "INTERNAL_ERROR" else expected] += 1
        if code != expected or (not code and told != answer):
            differences.append({"turn": turn, "kind": kind, "ours": [code, told], "theirs": [expected, answer]})
        if not expected:
            note()
        if len(differences) >= 10:
            break
        time.sleep(0.002)  # times are told in milliseconds: acts must not share one on either side
    return {"acts": sum(kinds.values()), "kinds": kinds, "refused": refused, "codes": codes, "differences": differences}


def main() -> None:
    """Compare, and print what was found."""
    address, seed, count, folder = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
    theirs_at = mlflow_server(folder)
    from mlflow import MlflowClient

    world = World()
    acts = Acts(random.Random(seed), world, logged(address, f"sqlite:///{folder}/m.db", folder))
    sides = [
        Side(client=MlflowClient(tracking_uri=f"sqlite:///{folder}/m.db", registry_uri=uri), world=world, ours=ours)
        for uri, ours in ((address, True), (theirs_at, False))
    ]
    gc.freeze()  # MLflow's many modules are not looked through again and again
    started, cpu = time.perf_counter(), time.process_time()
    found = compare(sides[0], sides[1], acts, count)
    spent = {"seconds": round(time.perf_counter() - started, 1), "cpu": round(time.process_time() - cpu, 1)}
    print(json.dumps({**found, **spent}))  # noqa: T201 - read by the test


if __name__ == "__main__":
    main()
