"""The functions that Flink runs: tiles for a batch of blocks, windows for an entity, rows to the online store."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from typing import Any

from pyflink.common import Row
from pyflink.common.typeinfo import Types
from pyflink.datastream.functions import KeyedProcessFunction, MapFunction, RuntimeContext
from pyflink.datastream.state import ListStateDescriptor, MapStateDescriptor, ValueStateDescriptor
from pyflink.table.udf import ScalarFunction

from lineshaft.specs import View
from lineshaft.tiles.plan import TilePlan
from lineshaft_flink.entity import Entity, Refused, first_due_us
from lineshaft_flink.job_file import NEVER_US
from lineshaft_flink.online import OnlineWriter
from lineshaft_flink.packing import REJECTS, Reject, RowBatch, TiledBlocks, packed_key
from lineshaft_flink.tiling import Tiling, slices_of
from lineshaft_flink.wire import unpack_blocks

OUTPUT = Types.ROW_NAMED(
    ["view", "entity", "payload"], [Types.STRING(), Types.STRING(), Types.PRIMITIVE_ARRAY(Types.BYTE())]
)
_LAST_WATERMARK_MS = 2**63 - 1


class MakeTiles(ScalarFunction):  # type: ignore[misc]
    """A vectorised function: columns of a batch of blocks to packed tiles, one element per entity, then nulls."""

    def __init__(self, views: Sequence[str], *, wire: bool) -> None:
        self._views = list(views)
        self._wire = wire

    def open(self, function_context: Any) -> None:
        """Decide the plans once per worker."""
        self._tiling = Tiling([View.from_json(text) for text in self._views])

    def eval(self, *columns: Any) -> Any:
        """Return a series as long as the batch; the elements stand first."""
        import pandas as pd  # loaded by PyFlink anyway; kept off the client's start

        blocks = unpack_blocks(columns[0]) if self._wire else slices_of(columns)
        elements = self._tiling.elements(blocks)
        return pd.Series([*elements, *([None] * (len(columns[0]) - len(elements)))], dtype=object)


class Windows(KeyedProcessFunction):  # type: ignore[misc]
    """THE window operator: packed tiles of one entity in, its row versions out, once, for both stores.

    Elements wait in a list until receipt time passes their first grid point; then the entity's timelines take them and
    answer. Timelines are kept in this worker as a cache; the state in Flink is what counts after a failure.
    """

    def __init__(self, views: Sequence[str], *, after_us: int, until_us: int, cached: int = 50_000) -> None:
        self._views = list(views)
        self._after_us = after_us
        self._until_us = until_us
        self._cached = cached

    def open(self, runtime_context: RuntimeContext) -> None:
        """Decide the plans and name the state."""
        data = Types.PRIMITIVE_ARRAY(Types.BYTE())
        self._plans = [TilePlan.of(View.from_json(text)) for text in self._views]
        self._key_names = [name for name, _ in self._plans[0].view.entity_keys]
        self._inbox = runtime_context.get_list_state(ListStateDescriptor("inbox", data))
        self._buckets = runtime_context.get_map_state(MapStateDescriptor("buckets", Types.STRING(), data))
        self._done = runtime_context.get_state(ValueStateDescriptor("done_us", Types.LONG()))
        self._entities: OrderedDict[str, Entity] = OrderedDict()
        self._armed: dict[str, int] = {}
        metrics = runtime_context.get_metrics_group()
        self._count_refused = metrics.counter("lineshaft_blocks_refused")
        self._count_disordered = metrics.counter("lineshaft_blocks_disordered")

    def process_element(self, value: Any, ctx: KeyedProcessFunction.Context) -> Iterator[Row]:
        """Keep the element, and wake when its first row is due."""
        key = ctx.get_current_key()
        packed = bytes(value[0])
        blocks = TiledBlocks.from_bytes(packed)
        if blocks.rejects:
            self._count_refused.inc(len(blocks.rejects))
            yield _refusals(key, blocks.rejects)
        if blocks.times.shape[1]:
            self._inbox.add(packed)
            self._arm(key, first_due_us(self._plans, blocks), ctx)

    def on_timer(self, timestamp: int, ctx: KeyedProcessFunction.OnTimerContext) -> Iterator[Row]:
        """Answer everything that is due by now."""
        key = ctx.get_current_key()
        self._armed.pop(key, None)
        watermark_ms = ctx.timer_service().current_watermark()
        upto_us = self._until_us if watermark_ms == _LAST_WATERMARK_MS else min(watermark_ms * 1000, self._until_us)
        entity = self._entity(key)
        refused: list[Reject] = []
        disordered = entity.disordered
        for packed in self._inbox:
            blamed = entity.add(TiledBlocks.from_bytes(packed))
            refused += [_reject(self._key_names, key, one) for one in blamed]
        self._inbox.clear()
        for view, rows in entity.advance(upto_us, after_us=self._after_us).items():
            for part in rows.chunks():
                yield Row(view, key, part.to_bytes())
        if refused:
            self._count_refused.inc(len(refused))
            yield _refusals(key, refused)
        self._count_disordered.inc(entity.disordered - disordered)
        if watermark_ms == _LAST_WATERMARK_MS:
            self._forget(key)
            return
        for name, data in entity.changes().items():
            if data is None:
                self._buckets.remove(name)
            else:
                self._buckets.put(name, data)
        self._done.update(upto_us)
        due = entity.next_due_us()
        if due is not None and due <= self._until_us:
            self._arm(key, due, ctx)

    def _arm(self, key: str, due_us: int, ctx: KeyedProcessFunction.Context) -> None:
        at_ms = -(-due_us // 1000)
        if at_ms < self._armed.get(key, NEVER_US):
            self._armed[key] = at_ms
            ctx.timer_service().register_event_time_timer(at_ms)

    def _entity(self, key: str) -> Entity:
        entity = self._entities.get(key)
        if entity is None:
            done_us = self._done.value()
            if done_us is None:
                entity = Entity(self._plans)
            else:
                entity = Entity.restore(self._plans, done_us, self._buckets.items())
            self._entities[key] = entity
            if len(self._entities) > self._cached:
                self._entities.popitem(last=False)
        else:
            self._entities.move_to_end(key)
        return entity

    def _forget(self, key: str) -> None:
        """Drop an entity after the end of all input: nothing can follow."""
        self._entities.pop(key, None)
        self._buckets.clear()
        self._done.clear()


class WriteOnline(MapFunction):  # type: ignore[misc]
    """Write the newest row of each element to the online store, before the element counts as done.

    Nothing is kept between elements, so a checkpoint never misses a write; a repeated write changes nothing.
    """

    def __init__(self, views: Sequence[str], *, redis_url: str, project: str) -> None:
        self._views = list(views)
        self._redis_url = redis_url
        self._project = project

    def open(self, runtime_context: RuntimeContext) -> None:
        """Connect."""
        views = [View.from_json(text) for text in self._views]
        self._writer = OnlineWriter(views, redis_url=self._redis_url, project=self._project)

    def map(self, value: Any) -> int:
        """Write one element; return how many rows it wrote."""
        if value[0] == REJECTS:
            return 0
        return self._writer.write(value[0], json.loads(value[1]), RowBatch.from_bytes(value[2]))


def element_key(value: Any) -> str:
    """Return the entity that an element of the tiled stream belongs to."""
    return packed_key(value[0])


def _reject(names: Sequence[str], key: str, refused: Refused) -> Reject:
    known = dict(zip(names, json.loads(key), strict=True))
    place = (str(known.get("asset_id", "")), str(known.get("position", "")))
    return (*place, refused.start_us, refused.known_us, f"{refused.reason}: {refused.view}")


def _refusals(key: str, rejects: Sequence[Reject]) -> Row:
    return Row(REJECTS, key, json.dumps(list(rejects)).encode())
