"""A typed client: ask by keyword, get columns back as Arrow, pandas or Polars."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, Self, TypeAlias

import grpc
import pyarrow as pa

from lineshaft import errors
from lineshaft.rpc.v1 import features_pb2, features_pb2_grpc, predictions_pb2, predictions_pb2_grpc
from lineshaft.serving import convert
from lineshaft.serving.frames import FeatureFrame, FeatureStream, frame_from, part_from
from lineshaft.serving.interceptors import CODE_KEY, FIX_KEY, ID_KEY, RETRY_KEY, WHERE_KEY
from lineshaft.serving.restraint import Restraint
from lineshaft.serving.retries import RetryBudget
from lineshaft.serving.tls import bearer, channel
from lineshaft.serving.together import apart, together
from lineshaft.serving.watched import SILENCES, listened, may_go_on
from lineshaft.tiles.buffers import text_array

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl

    Frame: TypeAlias = pa.Table | pd.DataFrame | pl.DataFrame

_ERRORS = {kind.code: kind for kind in vars(errors).values() if isinstance(kind, type) and hasattr(kind, "code")}
_MAX_MESSAGE_BYTES = 64 << 20
_KEYS = 'such as asset_id=["pump-001"]'
_WAITS_S = (0.01, 0.1)
"""Before a lost call is asked again, each time."""
PemFile: TypeAlias = str | Path


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceSummary:
    """What a feature service offers."""

    name: str
    team: str
    owner: str
    description: str
    join_keys: Sequence[str]
    columns: Sequence[str]
    view_versions: Mapping[str, str]
    request_fields: Sequence[str] = ()


class Client:
    """A connection to a Lineshaft server. Threads may share it.

    Refused calls raise the errors of `lineshaft.errors`, with the server's reason and remedy.
    token: who asks, as an administrator or an OpenID provider gave it. ca, cert, key: PEM files; with `ca` the
    connection is encrypted ("system": any authority this machine trusts), with `cert` and `key` the caller shows a
    certificate too. restraint: what holds calls back while most are refused; of this client alone unless given.
    """

    def __init__(
        self,
        address: str,
        *,
        token: str = "",
        ca: PemFile = "",
        cert: PemFile = "",
        key: PemFile = "",
        timeout_s: float = 5.0,
        restraint: Restraint | None = None,
    ) -> None:
        options = [
            ("grpc.max_receive_message_length", _MAX_MESSAGE_BYTES),
            ("grpc.max_send_message_length", _MAX_MESSAGE_BYTES),
        ]
        self._address = address
        self._timeout_s = timeout_s
        self._retries, self._restraint = RetryBudget(), restraint or Restraint()
        self._closed = False
        self._who = bearer(address, token, encrypted=bool(ca))
        self._channel = channel(address, options, ca=ca, cert=cert, key=key)
        self._features = features_pb2_grpc.FeatureServiceStub(self._channel)
        self._predictions = predictions_pb2_grpc.PredictionServiceStub(self._channel)

    def features(
        self,
        service: str,
        entities: Frame | Mapping[str, Sequence[Any]] | None = None,
        *,
        at_us: int = 0,
        timeout_s: float | None = None,
        **keys: Sequence[Any],
    ) -> FeatureFrame:
        """Return the newest features of entities, given as a table or by keyword: `asset_id=["pump-001"]`.

        Numbers that on-demand features read from the request stand beside the keys: `load=[0.7]`, None where unknown.
        at_us: the moment that ages and times to live are counted to; the present unless given.
        """
        table = _entities(entities, keys)
        return frame_from(table, self._ask(self._features.GetFeatures, question(service, table, at_us), timeout_s))

    def stream(
        self, service: str, questions: Iterable[Mapping[str, Sequence[Any]]], *, budget_s: float = 0.0
    ) -> Iterator[FeatureFrame | errors.LineshaftError]:
        """Answer question after question over one stream, in order: for callers who ask all the time.

        questions: the keys of each, as `features` takes them; some are taken ahead, so that those that are ready travel
        together. A refused question is answered by its error, which is not raised.
        budget_s: the most time the online store may take for each; the server's own limit unless given.
        """
        asked: deque[pa.Table] = deque()
        over = threading.Event()

        def requests() -> Iterator[features_pb2.StreamFeaturesRequest]:
            for number, keys in enumerate(questions):
                table = _entities(keys, {})
                asked.append(table)
                yield features_pb2.StreamFeaturesRequest(
                    number=number, request=question(service, table), budget_us=round(budget_s * 1e6)
                )

        messages = self._features.StreamFeatures(together(requests(), over), metadata=self._who)
        try:
            for reply in apart(messages):
                table = asked.popleft()
                if reply.WhichOneof("result") == "response":
                    yield frame_from(table, reply.response)
                else:
                    kind, no = _ERRORS.get(reply.refusal.code, errors.LineshaftError), reply.refusal
                    yield kind(no.what, where=no.where, fix=no.fix)
        except grpc.RpcError as error:
            self._raise(error)
        finally:
            over.set()
            messages.cancel()

    def watch(
        self,
        service: str,
        entities: Frame | Mapping[str, Sequence[Any]] | None = None,
        *,
        min_interval_s: float = 0.05,
        heartbeat_s: float = 5.0,
        **keys: Sequence[Any],
    ) -> Iterator[FeatureFrame]:
        """Yield what `features` returns, at once and again each time it changes; without end.

        A change is another row, status or version, or the online store being lost or found; the newest is never left
        out, what came between may be. Where a server stops, the watch goes on with the next; where none answers, or
        none gives a sign of life for three heartbeats, it raises `UnavailableError`.
        min_interval_s: the least time between two answers. heartbeat_s: how often a sign of life is asked for.
        """
        table = _entities(entities, keys)
        request = features_pb2.WatchFeaturesRequest(
            request=question(service, table),
            min_interval_us=round(min_interval_s * 1e6),
            heartbeat_us=round(heartbeat_s * 1e6),
        )
        answered = True
        while answered:
            answered = False
            try:
                call = self._features.WatchFeatures(request, metadata=self._who)
                for reply in listened(call, most_s=SILENCES * heartbeat_s):
                    answered = True
                    yield frame_from(table, reply)
            except grpc.RpcError as error:
                if self._closed or not (answered and may_go_on(error)):
                    self._raise(error)

    def training_set(
        self,
        service: str,
        entities: Frame,
        *,
        table_versions: Mapping[str, int] | None = None,
        timeout_s: float | None = None,
    ) -> FeatureStream:
        """Return a training set, streamed: what `features` could have answered at each row's `event_time`.

        entities: join keys, `event_time`, and columns to carry along. `timeout_s` is for all of it; none unless given.
        """
        request = features_pb2.GetTrainingSetRequest(
            feature_service=service, entities=convert.arrow_to(_table(entities)), table_versions=table_versions or {}
        )
        return FeatureStream(self._parts(request, timeout_s))

    def _parts(self, request: features_pb2.GetTrainingSetRequest, timeout_s: float | None) -> Iterator[FeatureFrame]:
        try:
            for reply in self._features.GetTrainingSet(request, timeout=timeout_s, metadata=self._who):
                yield part_from(reply)
        except grpc.RpcError as error:
            self._raise(error)

    def services(self) -> list[ServiceSummary]:
        """Return every feature service, by name."""
        found: list[ServiceSummary] = []
        token = ""
        while True:
            request = features_pb2.ListFeatureServicesRequest(page_token=token)
            reply = self._ask(self._features.ListFeatureServices, request, None)
            found += [_summary(one) for one in reply.feature_services]
            token = reply.next_page_token
            if not token:
                return found

    def predict(
        self,
        model: str,
        entities: Frame | Mapping[str, Sequence[Any]] | None = None,
        *,
        contributions: int = 5,
        at_us: int = 0,
        timeout_s: float | None = None,
        **keys: Sequence[Any],
    ) -> predictions_pb2.PredictResponse:
        """Return the champion's prediction for each entity, with its largest contributions (-1: all of them)."""
        asked, request_data = convert.request_to(_entities(entities, keys))
        request = predictions_pb2.PredictRequest(
            model=model,
            entities=asked,
            request_data=request_data,
            at_us=at_us,
            contributions=contributions,
        )
        reply: predictions_pb2.PredictResponse = self._ask(self._predictions.Predict, request, timeout_s)
        return reply

    def close(self) -> None:
        """Close the connection."""
        self._closed = True
        self._channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _ask(self, method: Any, request: Any, timeout_s: float | None) -> Any:
        """Call; again, within the same time, when the connection was lost under the call: all calls are reads.

        A server that stops answers what it has begun; what reaches it a moment later, gRPC cancels unseen, until word
        that the connection closes has come back: hence a wait before asking again, and a longer one the second time.
        While the server refuses most calls for want of room, some are refused here instead, and not sent.
        """
        if not self._restraint.admits():
            what = "not sent: the server refuses more calls than it answers"
            raise errors.RateError(
                what, where=self._address, fix="ask again in a second, ask less, or start more workers"
            )
        end_s = time.monotonic() + (self._timeout_s if timeout_s is None else timeout_s)
        for wait_s in (*_WAITS_S, math.inf):
            left_s = max(end_s - time.monotonic(), 0.001)
            try:
                reply = method(request, timeout=left_s, metadata=self._who)
            except grpc.RpcError as error:
                if _no_room(error):
                    self._restraint.note(answered=False)
                again = _lost(error) and self._retries.failed()
                if not again or time.monotonic() + wait_s >= end_s:
                    self._raise(error)
                time.sleep(wait_s)
            else:
                self._retries.succeeded()
                self._restraint.note(answered=True)
                return reply
        raise AssertionError("the last turn answers or raises")

    def _raise(self, error: Any) -> NoReturn:
        """Raise the error that the server refused with, as it was there."""
        trailing = dict(error.trailing_metadata() or ())
        kind = _ERRORS.get(trailing.get(CODE_KEY, ""))
        if kind is not None:
            where, fix = (trailing.get(key, b"").decode() for key in (WHERE_KEY, FIX_KEY))
            late_by = {"retry_ms": int(trailing[RETRY_KEY])} if RETRY_KEY in trailing else {}
            raise kind(error.details(), where=where, fix=fix, **late_by) from error
        late = error.code() == grpc.StatusCode.DEADLINE_EXCEEDED
        raise errors.UnavailableError(
            f"{error.code().name.lower().replace('_', ' ')}: {error.details()}",
            where=self._address,
            fix="allow more time" if late else _remedy(trailing),
        ) from error


def question(service: str, table: pa.Table, at_us: int = 0) -> features_pb2.GetFeaturesRequest:
    """Return the message that asks for the entities of a table."""
    entities, request_data = convert.request_to(table)
    return features_pb2.GetFeaturesRequest(
        feature_service=service,
        entities=entities,
        request_data=request_data,
        at_us=at_us,
        encoding=features_pb2.ENCODING_BLOCKS,
    )


def _table(frame: Any) -> pa.Table:
    """Return an Arrow, pandas or Polars table as Arrow, without an index and with categories written out."""
    if isinstance(frame, pa.Table):
        table = frame
    else:
        table = pa.Table.from_pandas(frame, preserve_index=False) if hasattr(frame, "iloc") else frame.to_arrow()
    for place, field in enumerate(table.schema):
        if pa.types.is_dictionary(field.type):
            table = table.set_column(place, field.name, table.column(place).cast(field.type.value_type))
    return table


def _entities(entities: Frame | Mapping[str, Sequence[Any]] | None, keys: Mapping[str, Sequence[Any]]) -> pa.Table:
    """Return entities given as a frame, by name or by keyword, the keywords beside the others."""
    given: dict[str, Any] = {}
    if isinstance(entities, Mapping):
        given.update(entities)
    elif entities is not None:
        table = _table(entities)
        given.update(zip(table.column_names, table.columns, strict=True))
    given.update(keys)
    arrays = {name: _key_column(name, values) for name, values in given.items()}
    sizes = {name: len(column) for name, column in arrays.items()}
    if len(set(sizes.values())) > 1:
        raise errors.InputError(f"keys of different length: {sizes}", fix="give one value of each key for each row")
    if not any(sizes.values()):
        raise errors.InputError("nothing was asked: there is no entity", fix=f"give its keys, {_KEYS}")
    return pa.Table.from_arrays(list(arrays.values()), names=list(arrays))


def _key_column(name: str, values: Any) -> pa.Array | pa.ChunkedArray:
    """Return the values of a key as Arrow; one text is a column of one."""
    if isinstance(values, pa.ChunkedArray):
        return values
    if isinstance(values, bytes) or not (isinstance(values, str) or hasattr(values, "__len__")):
        raise errors.InputError(f"{name}={values!r:.100} is no list of keys", fix=f"give a list, {_KEYS}")
    listed = [values] if isinstance(values, str) else values
    try:
        if isinstance(listed, list | tuple) and all(isinstance(one, str) for one in listed):
            return text_array(listed)  # `pa.array` would load pandas where it is installed: half a second
        return pa.array(listed)
    except (ValueError, TypeError, OverflowError) as error:  # half letters, values of several types, too large numbers
        raise errors.InputError(
            f"the keys {name} cannot be sent: {error}"[:300], fix=f"give a list, {_KEYS}"
        ) from error


def _summary(one: features_pb2.FeatureServiceSummary) -> ServiceSummary:
    return ServiceSummary(
        name=one.name,
        team=one.team,
        owner=one.owner,
        description=one.description,
        join_keys=[key.name for key in one.join_keys],
        columns=list(one.columns),
        view_versions=dict(one.view_versions),
        request_fields=[field.name for field in one.request_fields],
    )


def _lost(error: Any) -> bool:
    """Tell whether a call failed without an answer of the server: it may stand on another connection."""
    gone = error.code() in (grpc.StatusCode.CANCELLED, grpc.StatusCode.UNAVAILABLE)
    return gone and CODE_KEY not in dict(error.trailing_metadata() or ())


def _no_room(error: Any) -> bool:
    """Tell whether a call was refused because there are too many: by the server, or by gRPC before it was looked at."""
    if error.code() == grpc.StatusCode.CANCELLED:
        return _lost(error)
    return bool(error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED and "larger than" not in (error.details() or ""))


def _remedy(trailing: Mapping[str, Any]) -> str:
    if ID_KEY in trailing:
        return f"look for {trailing[ID_KEY]} in the server's log"
    return "check that `lineshaft serve` runs at this address"
