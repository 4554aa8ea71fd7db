"""Rows of the job into the online store."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import Any

from lineshaft.errors import UnavailableError
from lineshaft.specs import View
from lineshaft.stores.online_redis import RedisOnlineStore
from lineshaft.tiles.rows import rows_table
from lineshaft.tiles.timeline import Emitted
from lineshaft_flink.packing import RowBatch

_log = logging.getLogger(__name__)
_WAITS_S = (0.1, 0.5, 2.0, 5.0, 10.0)


class OnlineWriter:
    """Write the newest of a batch of rows; older ones could never be read there."""

    def __init__(self, views: Sequence[View], *, redis_url: str, project: str) -> None:
        self._views = {view.ref: view for view in views if view.online}
        self._store = RedisOnlineStore(redis_url, project=project)

    def write(self, ref: str, key: Sequence[Any], rows: RowBatch) -> int:
        """Write one entity's rows; return how many went out. Waits for a server that is away, then gives up.

        Raises `UnavailableError` after about 18 s: Flink then restarts from its last checkpoint and tries again.
        """
        view = self._views.get(ref)
        if view is None:
            return 0
        newest = rows.newest()
        names = [name for name, _ in view.entity_keys]
        emitted = Emitted(tick_us=newest.tick_us, known_us=newest.known_us, values=newest.values)
        table = rows_table(view, dict(zip(names, key, strict=True)), emitted)
        for wait_s in _WAITS_S:
            try:
                self._store.write(view, table)
                return 1
            except UnavailableError as error:
                _log.warning("online store away, trying again in %s s: %s", wait_s, error.what)
                time.sleep(wait_s)
        self._store.write(view, table)
        return 1
