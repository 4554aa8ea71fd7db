"""Tell the registry which generation this server serves: whoever promotes can then see who follows, and who is late."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from lineshaft.clock import Clock
from lineshaft.registry.acks import ReplicaAcks
from lineshaft.registry.records import Ack, answering
from lineshaft.serving.standing import Standing

_LOG = logging.getLogger(__name__)

SIGN_OF_LIFE_S = 10.0
"""How often a server says again what it serves; one that is silent for three times as long is not waited for."""


@dataclass(slots=True, kw_only=True)
class Acknowledging:
    """Says what stands, on a thread of its own: neither a call nor the following of champions waits for it.

    What cannot be written is not missed: the next sign of life says it.
    """

    acks: ReplicaAcks
    replica: str
    environment: str
    clock: Clock
    every_s: float = SIGN_OF_LIFE_S
    _latest: Ack | None = None
    _new: bool = False
    _ended: bool = False
    _thread: threading.Thread | None = None
    _changed: threading.Condition = field(default_factory=threading.Condition)

    def tell(self, generation: int, standing: Mapping[str, Standing]) -> None:
        """Have it said that a generation is loaded, and by which version each model answers."""
        with self._changed:
            self._latest = Ack(
                replica=self.replica,
                environment=self.environment,
                generation=generation,
                models={
                    answering(model, site): one.ready.version.number
                    for model, general in standing.items()
                    for site, one in ({"": general, **general.sites}).items()
                },
                at_us=0,
            )
            self._new = True
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="acknowledging", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def close(self) -> None:
        """Say no more, and be forgotten: nobody need wait for a server that stopped."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join()
            self._say(None)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._new or self._ended, timeout=self.every_s)
                if self._ended:
                    return
                self._new, latest = False, self._latest
            self._say(latest)

    def _say(self, ack: Ack | None) -> None:
        """Write what is served, or that nothing is any more; whatever happens, the server goes on."""
        try:
            if ack is None:
                self.acks.forget(self.replica, self.environment)
            else:
                self.acks.note(replace(ack, at_us=self.clock.now_us()))
        except Exception as error:  # noqa: BLE001 - a registry that is away, or that may only be read, costs nothing
            _LOG.warning("the registry was not told what this server serves: %s", error)
