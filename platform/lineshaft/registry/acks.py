"""Which servers follow: each says which generation it serves, and who promotes can wait for all of them."""

from __future__ import annotations

import json
from dataclasses import dataclass

from sqlalchemy import Engine, delete, insert, select, update

from lineshaft.clock import Clock
from lineshaft.registry.engine import connected
from lineshaft.registry.records import Ack
from lineshaft.registry.tables import ACK

LIVE_US = 30_000_000
"""A server that has not spoken for so long is taken for stopped."""
FORGOTTEN_US = 86_400_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaAcks:
    """The servers of all environments, a row each."""

    engine: Engine
    clock: Clock

    def note(self, ack: Ack) -> None:
        """Replace what a server said before; forget those that have been silent for a day."""
        same = (ACK.c.replica == ack.replica) & (ACK.c.environment == ack.environment)
        row = {"generation": ack.generation, "models_json": json.dumps(dict(ack.models), sort_keys=True)}
        row["at_us"] = ack.at_us
        with connected(self.engine, writing=True) as connection:
            if connection.execute(update(ACK).where(same).values(row)).rowcount == 0:
                connection.execute(insert(ACK).values(replica=ack.replica, environment=ack.environment, **row))
                connection.execute(delete(ACK).where(ACK.c.at_us < ack.at_us - FORGOTTEN_US))

    def forget(self, replica: str, environment: str) -> None:
        """Take out a server that stops: nobody need wait for it."""
        same = (ACK.c.replica == replica) & (ACK.c.environment == environment)
        with connected(self.engine, writing=True) as connection:
            connection.execute(delete(ACK).where(same))

    def live(self, environment: str) -> list[Ack]:
        """Return what the servers of an environment said that are still heard of, by name."""
        since = self.clock.now_us() - LIVE_US
        query = select(ACK).where((ACK.c.environment == environment) & (ACK.c.at_us >= since)).order_by(ACK.c.replica)
        with connected(self.engine) as connection:
            rows = connection.execute(query).all()
        return [
            Ack(
                replica=row.replica,
                environment=row.environment,
                generation=row.generation,
                models=json.loads(row.models_json),
                at_us=row.at_us,
            )
            for row in rows
        ]
