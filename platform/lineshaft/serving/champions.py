"""Who answers for each model of an environment: followed from the registry beside the calls, swapped in one step.

A call takes whoever stands at its moment and never waits for the registry, a file or an import. Versions are loaded
and proven on their golden rows before they stand, and who stood last is kept: to go back, or forth again, changes a
pointer. A look asks the registry three things at most, however many models there are and however long their history,
and loads models one by one, each swapped in by itself: what loads nothing waits for nobody else's model.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace

from lineshaft.errors import CorruptError, LineshaftError, NotFoundError, UnavailableError
from lineshaft.models.columns import service_features
from lineshaft.registry.models import ModelRegistry
from lineshaft.registry.records import Experiment, ModelVersion, Slot, State
from lineshaft.registry.reigns import Reigns
from lineshaft.serving.standing import Ready, Standing
from lineshaft.specs import Service

_LOG = logging.getLogger(__name__)

POLL_S = 0.1
"""How often, in seconds, the registry is asked whether an assignment changed."""
_AGAIN_S = 10.0
"""After how long a version that could not be used is tried again: its file may have been restored."""

Read = Callable[[ModelRegistry, ModelVersion], Ready]
Told = Callable[[int, Mapping[str, Standing]], None]
"""Be told of a generation of the registry that is loaded, and who stands in it."""


def read_version(registry: ModelRegistry, version: ModelVersion) -> Ready:
    """Load a version; its hash, its features and its golden rows are checked.

    Raises `CorruptError` where it is not what was registered.
    """
    # A server that answers for no model does not hold what reads one.
    from lineshaft.models.loading import load_model

    service = Service.from_json(version.service_json)
    place = {name: i for i, name in enumerate(service_features(service))}
    missing = [name for name in version.features if name not in place]
    if missing:
        raise CorruptError(f"{version.ref} reads {missing[0]!r}, which the service it pins does not have")
    return Ready(
        version=version,
        service=service,
        model=load_model(registry.load(version), features=version.features),
        columns=tuple(place[name] for name in version.features),
        required=tuple(i for i, name in enumerate(version.features) if name in service.required),
    )


@dataclass(slots=True, kw_only=True)
class Champions:
    """The champions of one environment. `start` follows the registry until `close`; `look` follows it once.

    A registry that does not answer stops changes, not predictions: who stands goes on, and where nobody does yet, who
    `recall` returns. `told` is told of each generation once it is loaded.
    """

    registry: ModelRegistry
    environment: str
    read: Read = read_version
    told: Told | None = None
    recall: Callable[[], Mapping[str, Standing]] | None = None
    generation: int = -1
    _standing: Mapping[str, Standing] = field(default_factory=dict)
    _last: dict[str, tuple[Ready, ...]] = field(default_factory=dict)  # by model, who stood until the last change
    _changing: threading.Lock = field(default_factory=threading.Lock)
    _ended: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def of(self, model: str) -> Standing:
        """Return who answers for a model; one that is not known yet is looked up.

        Raises `NotFoundError` if it has no champion, `CorruptError` if no version of it can be used.
        """
        standing = self._standing.get(model)
        if standing is None:
            with self._changing:
                standing = self._stand(model, self.registry.reigns(self.environment, model).get(model, {}))
                self._standing = {**self._standing, model: standing}
        return standing

    def standing(self) -> Mapping[str, Standing]:
        """Return who answers for each model that is known."""
        return self._standing

    def start(self) -> None:
        """Load every champion, then follow the registry on a thread."""
        self._look_in_peace()
        if self.generation < 0 and self.recall is not None:
            self._standing = self.recall()
        self._thread = threading.Thread(target=self._follow, name="champions", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Follow no longer."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join()

    def look(self, *, again: bool = False) -> bool:
        """Ask the registry; load what changed (with `again`, also what could not be used), and swap. Tell if so.

        Raises `UnavailableError` if the registry does not answer; whom it did not tell of goes on.
        """
        with self._changing:
            generation = self.registry.generation(self.environment)
            again = again and any(one.passed_over for one in self._standing.values())
            if generation == self.generation and not again:
                return False
            while not self._stand_all(generation):
                generation = self.registry.generation(self.environment)
            self.generation = generation
        if self.told is not None:
            self.told(generation, self._standing)
        return True

    def _follow(self) -> None:
        tried_s = time.monotonic()
        while not self._ended.wait(POLL_S):
            again = time.monotonic() - tried_s >= _AGAIN_S
            if again:
                tried_s = time.monotonic()
            self._look_in_peace(again=again)

    def _look_in_peace(self, *, again: bool = False) -> None:
        """Look; whatever happens, who stands goes on."""
        try:
            self.look(again=again)
        except LineshaftError as error:
            _LOG.warning("champions stay as they are: %s", error.what)
        except Exception:  # noqa: BLE001 - a fault nobody thought of must not end the following
            _LOG.exception("champions stay as they are")

    def _stand_all(self, generation: int) -> bool:
        """Swap in who is to answer for each model; tell whether all were done before another generation came."""
        held = self.registry.reigns(self.environment)
        names = {model for model, reigns in held.items() if reigns.get(("", Slot.CHAMPION))} | self._standing.keys()
        reading = False
        for unread, model in sorted((self._is_unread(model, held.get(model, {})), model) for model in names):
            if reading and self.registry.generation(self.environment) != generation:
                return False  # what loads nothing must not wait until all else is loaded
            try:
                self._standing = {**self._standing, model: self._stand(model, held.get(model, {}))}
            except UnavailableError:
                raise
            except LineshaftError as error:
                _LOG.error("nobody answers for %s: %s", model, error.what)
            reading = reading or unread
        return True

    def _known(self, model: str) -> dict[int, Ready]:
        """Return by number the versions of a model that are in memory."""
        standing = self._standing.get(model)
        stands = () if standing is None else standing.all()
        return {one.version.number: one for one in (*self._last.get(model, ()), *stands)}

    def _is_unread(self, model: str, reigns: Reigns) -> bool:
        """Tell whether some version has to be loaded that is to answer now."""
        known = self._known(model)
        return any(one.open and one.number not in known for held in reigns.values() for one in held)

    def _stand(self, model: str, reigns: Reigns) -> Standing:
        """Return who is to answer for a model, and who at sites that have slots of their own."""
        before = self._standing.get(model)
        general = self._place(model, reigns, "", before)
        sites = sorted({site for (site, _), held in reigns.items() if site and held[-1].open})
        if sites:
            general = replace(
                general,
                sites={site: self._place(model, reigns, site, before) for site in sites},
                placed=self.registry.sites.placed(self.environment),
            )
        if before is not None:
            numbers = {one.version.number for one in general.all()}
            left = tuple(one for one in before.all() if one.version.number not in numbers)
            self._last[model] = left or self._last.get(model, ())
        return general

    def _place(self, model: str, reigns: Reigns, site: str, before: Standing | None) -> Standing:
        """Return who is to answer at a place: its champion, or where that cannot be used one before it."""
        champions = list(reigns.get(("", Slot.CHAMPION), ()))
        own = reigns.get((site, Slot.CHAMPION), ())
        if site and own and own[-1].open:
            champions += own
        numbers = succession(one.number for one in champions)
        if not numbers:
            what = f"model {model!r} has no champion in {self.environment!r}"
            raise NotFoundError(what, fix=f"promote a version of {model}")
        found, fault = self._usable(model, numbers, {one.number for one in champions if one.state is State.VALIDATED})
        if not found and before is not None:
            found = [before.ready]
        if not found:
            raise CorruptError(f"no version of {model!r} can be used: {fault}", fix="promote another version")
        ready_others: dict[Slot, Ready] = {}
        for slot in (Slot.CHALLENGER, Slot.SHADOW):
            held = reigns.get((site, slot), ()) or reigns.get(("", slot), ())
            for ready in self._usable(model, [held[-1].number], set())[0] if held else ():
                ready_others[slot] = ready
        return Standing(
            ready=found[0],
            reserve=found[1] if len(found) > 1 else None,
            passed_over=fault if found[0].version.number != numbers[0] else "",
            others=ready_others,
            trial=None if site else self._trial(model, ready_others.get(Slot.CHALLENGER)),
        )

    def _trial(self, model: str, challenger: Ready | None) -> Experiment | None:
        """Return the experiment that routes, if its challenger is who holds the slot; sites are left out of it."""
        trial = None if challenger is None else self.registry.experiments.running(model, self.environment)
        if trial is None or challenger is None or challenger.version.number != trial.challenger:
            return None
        return trial

    def _usable(self, model: str, numbers: Sequence[int], validated: AbstractSet[int]) -> tuple[list[Ready], str]:
        """Return the first two versions that can be used, and what was wrong with the first that cannot.

        After the first, a version that was rejected or retired since is passed by.
        """
        known = self._known(model)
        found: list[Ready] = []
        fault = ""
        for number in numbers:
            if number != numbers[0] and number not in validated:
                continue
            try:
                found.append(known.get(number) or self.read(self.registry, self.registry.get(model, number)))
            except UnavailableError:
                raise
            except Exception as error:  # noqa: BLE001 - whatever it is, who stands before it goes on
                ours = isinstance(error, LineshaftError)
                what = error.what if isinstance(error, LineshaftError) else f"{type(error).__name__}: {error}"
                _LOG.error("%s@%d cannot be used: %s", model, number, what, exc_info=None if ours else error)
                fault = fault or f"{model}@{number}: {what}"
            if len(found) == 2:
                break
        return found, fault


def succession(champions: Iterable[int]) -> list[int]:
    """Return champion after champion as whom a rollback goes back to, the present one first.

    >>> succession([1, 2, 3]), succession([1, 2, 3, 2]), succession([1, 2, 1, 3])
    ([3, 2, 1], [2, 1], [3, 1])
    """
    stack: list[int] = []
    for number in champions:
        if number in stack:
            del stack[stack.index(number) :]
        stack.append(number)
    return stack[::-1]
