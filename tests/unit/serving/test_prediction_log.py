"""The log of predictions: each is there once, under its model and day, whatever was flushed, replayed or refused."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from lineshaft.clock import ManualClock
from lineshaft.errors import NotFoundError, UnavailableError
from lineshaft.ops.predictions import find_prediction, last_before, read_predictions
from lineshaft.serving.features import FeatureHandler, Plans, TrainingSetHandler
from lineshaft.serving.prediction_log import DAY_US, PredictionLog, alike, prediction_rows
from lineshaft.serving.predictions import Predictions
from lineshaft.serving.server import Handlers, Limits, background_server
from lineshaft.settings import Settings
from lineshaft.specs import Status
from lineshaft.wiring import connect
from lineshaft.wiring import handlers as handlers_of

NAN = float("nan")
CHILD = """
import sys
from pathlib import Path
import numpy as np
from lineshaft.serving.prediction_log import PredictionLog
from lineshaft.serving.predictions import Predictions
from lineshaft.tiles.keys import Keys

told = {"model": "m", "number": 1, "task": "binary", "service": "s", "pins": (), "features": ("v__a",)}
rows = {"at_us": np.array([7, 8]), "scores": np.array([0.5, np.nan]), "statuses": np.ones(2, np.int8)}
rows |= {"values": np.ones((2, 1), np.float32), "input_statuses": np.ones((2, 1), np.int8), "ages_us": {}}
log = PredictionLog(Path(sys.argv[1]))
log.append(Predictions(entities=Keys({"asset_id": ["p", "q"], "line": np.array([1, 2])}), **told, **rows))
log.behind.flush()
print(len(list(Path(sys.argv[1]).rglob("*.parquet"))), "pandas" in sys.modules)
"""


def predictions(
    assets: list[str],
    at_us: list[int],
    *,
    model: str = "m",
    number: int = 1,
    scores: list[float] | None = None,
    **more: Any,
) -> Predictions:
    """Return a response of a model with two inputs, the second missing."""
    count = len(assets)
    plain: dict[str, Any] = {
        "task": "binary",
        "service": "s",
        "pins": (),
        "entities": pa.table({"asset_id": assets}),
        "at_us": np.array(at_us, dtype=np.int64),
        "scores": np.array(scores if scores is not None else [0.5] * count),
        "statuses": np.full(count, Status.NULL, dtype=np.int8),
        "features": ("v__a", "v__b"),
        "values": np.tile(np.array([1.5, NAN], dtype=np.float32), (count, 1)),
        "input_statuses": np.tile(np.array([1, 2], dtype=np.int8), (count, 1)),
        "contributions": np.tile([0.25, -0.75], (count, 1)),
        "base": 0.0,
        "ages_us": {"v": np.arange(count), "w": np.full(count, -1)},
    }
    return Predictions(model=model, number=number, **{**plain, **more})


def told(table: pa.Table) -> list[tuple[str, int]]:
    """Return (asset, time asked) of each row."""
    times = table["asked_at"].cast(pa.int64()).to_pylist()
    return list(zip(table["asset_id"].to_pylist(), times, strict=True))


def files(folder: Path) -> list[str]:
    """Return the files of a log below its folder."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_a_row_says_who_was_asked_what_was_answered_and_from_what() -> None:
    """Keys, time, version, score and status, then the inputs as the model saw them; missing is null, not NaN."""
    (first, second) = prediction_rows(predictions(["p", "q"], [7, 8], scores=[0.25, NAN], degraded=True)).to_pylist()

    assert first["prediction_id"] != second["prediction_id"]
    assert (first["asset_id"], first["version"], first["score"], first["status"]) == ("p", "m@1", 0.25, Status.NULL)
    assert (second["score"], second["degraded"]) == (None, True)
    assert (first["v__a"], first["v__b"]) == (1.5, None)
    assert len(first["prediction_id"]) == 32


def test_an_identity_follows_from_version_keys_and_time_alone() -> None:
    """Asked again it is the same, whatever the score or the order of keys; any of the three changed makes another."""

    def ident(**changes: Any) -> str:
        given: dict[str, Any] = {"assets": ["p"], "at_us": [7], **changes}
        (found,) = prediction_rows(predictions(**given))["prediction_id"].to_pylist()
        return str(found)

    two = {"entities": pa.table({"asset_id": ["p"], "position": ["de"]})}
    turned = {"entities": pa.table({"position": ["de"], "asset_id": ["p"]})}

    assert ident(scores=[0.1]) == ident(scores=[0.9])
    assert ident(**two) == ident(**turned)
    assert len({ident(), ident(at_us=[8]), ident(number=2), ident(model="n"), ident(assets=["q"]), ident(**two)}) == 6


def test_models_and_days_have_files_of_their_own(tmp_path: Path) -> None:
    """A response across midnight is divided; the last microsecond of a day is of that day, before 1970 too."""
    log = PredictionLog(tmp_path)
    log.append(predictions(["p"] * 4, [-1, 0, DAY_US - 1, DAY_US]))
    log.append(predictions(["p"], [0], model="n"))

    log.behind.flush()

    folders = sorted({str(Path(name).parent) for name in files(tmp_path)})
    assert folders == [
        *("model=m/date=1969-12-31", "model=m/date=1970-01-01", "model=m/date=1970-01-02", "model=n/date=1970-01-01")
    ]
    assert told(log.read("m")) == [("p", at) for at in (-1, 0, DAY_US - 1, DAY_US)]
    assert log.read("n").num_rows == 1
    assert log.read("gone").num_rows == 0


def test_a_replay_makes_no_second_file(tmp_path: Path) -> None:
    """The same predictions written again lie under the same name."""
    for _ in range(2):
        log = PredictionLog(tmp_path)
        log.append(predictions(["p", "q"], [1, 2]))
        log.behind.flush()

    assert len(files(tmp_path)) == 1
    log.behind.flush()
    assert len(files(tmp_path)) == 1


asked = st.lists(st.tuples(st.sampled_from(["p", "q"]), st.integers(0, 3)), min_size=1, max_size=4)


@settings(max_examples=25, deadline=None)
@given(responses=st.lists(asked, max_size=6), batch_rows=st.integers(1, 5))
def test_each_prediction_is_read_once_oldest_first(
    tmp_path_factory: pytest.TempPathFactory, responses: list[list[tuple[str, int]]], batch_rows: int
) -> None:
    """However they were batched and however often asked: by time, and each of its identity once."""
    log = PredictionLog(tmp_path_factory.mktemp("log"), batch_rows=batch_rows)
    for response in responses:
        log.append(predictions([asset for asset, _ in response], [at for _, at in response]))
    log.behind.flush()

    found = told(log.read("m")) if responses else []

    assert sorted(found) == sorted({pair for response in responses for pair in response})
    assert [at for _, at in found] == sorted(at for _, at in found)


def test_a_prediction_is_on_disk_when_the_interval_is_over(tmp_path: Path) -> None:
    """One prediction, far fewer than a file holds, is written without a flush: a crash loses an interval, no more."""
    log = PredictionLog(tmp_path, every_s=0.05)

    log.append(predictions(["p"], [1]))

    end = time.monotonic() + 5.0
    while not log.behind.written and time.monotonic() < end:
        time.sleep(0.01)
    assert told(log.read("m")) == [("p", 1)]


def test_what_cannot_be_written_is_written_once_there_is_room(tmp_path: Path) -> None:
    """A folder that is no folder fails no answer and is told in words; nothing was lost."""
    root = tmp_path / "log"
    root.write_text("in the way")
    log = PredictionLog(root)

    log.append(predictions(["p"], [1]))
    with pytest.raises(UnavailableError, match="1 rows of the prediction log cannot be written, 0 are lost"):
        log.behind.flush()
    log.append(predictions(["p"], [2]))
    root.unlink()
    log.behind.flush()

    assert told(log.read("m")) == [("p", 1), ("p", 2)]


def test_a_model_whose_inputs_changed_is_read_as_one_table(tmp_path: Path) -> None:
    """Versions with other inputs lie side by side; what a version did not read is null."""
    log = PredictionLog(tmp_path)
    log.append(predictions(["p"], [1]))
    log.append(predictions(["p"], [2], number=2, features=("v__a", "v__c")))
    log.behind.flush()

    table = log.read("m")

    assert table["version"].to_pylist() == ["m@1", "m@2"]
    assert (table["v__a"].to_pylist(), table["v__c"].null_count) == ([1.5, 1.5], 2)


def test_of_a_long_log_some_columns_are_read(tmp_path: Path) -> None:
    """Those that are asked for, where a file has them: judging a month of alerts needs no inputs in memory."""
    log = PredictionLog(tmp_path)
    log.append(predictions(["p"], [1]))
    log.append(predictions(["p"], [2], number=2, features=("v__a", "v__c")))
    log.behind.flush()

    table = read_predictions(tmp_path, "m", columns=("prediction_id", "asked_at", "v__c", "gone"))

    assert table.column_names == ["prediction_id", "asked_at", "v__c"]
    assert len(table) == 2


def test_a_key_sent_as_a_number_by_one_and_as_text_by_another_is_text(tmp_path: Path) -> None:
    """In one file and over several: nothing is lost for want of one type."""
    log = PredictionLog(tmp_path)
    for at, slots in enumerate(([1], ["1"], [2])):
        log.append(predictions(["p"], [at], entities=pa.table({"asset_id": ["p"], "slot": slots})))
        if at:
            log.behind.flush()

    assert log.read("m")["slot"].to_pylist() == ["1", "1", "2"]
    assert log.behind.lost == 0


def test_the_features_that_moved_a_score_most_come_first() -> None:
    """By size, whatever the sign; no more than asked; equal ones in the model's order."""
    found = predictions(["p"], [1])

    assert found.top(0) == [("v__b", pytest.approx(NAN, nan_ok=True), -0.75), ("v__a", 1.5, 0.25)]
    assert [name for name, _, _ in found.top(0, count=1)] == ["v__b"]
    equal = predictions(["p"], [1], contributions=np.array([[0.5, -0.5]]))
    assert [name for name, _, _ in equal.top(0)] == ["v__a", "v__b"]


def test_the_oldest_input_is_the_largest_age_of_any_view() -> None:
    """Unknown ages, -1, count only where nothing is known."""
    found = predictions(["p", "q", "r"], [1, 1, 1])
    unknown = predictions(["p"], [1], ages_us={"v": np.array([-1]), "w": np.array([-1])})

    assert found.oldest_input_us.tolist() == [0, 1, 2]
    assert unknown.oldest_input_us.tolist() == [-1]


def test_a_server_that_stops_writes_what_its_log_still_holds(tmp_path: Path) -> None:
    """Far fewer predictions than a file holds are there after the server ended, written once it takes no more calls."""
    nothing: Any = None
    log = PredictionLog(tmp_path)
    plans = Plans(catalog=nothing)
    handlers = Handlers(
        plans=plans,
        features=FeatureHandler(plans=plans, online=nothing, clock=ManualClock()),
        training=TrainingSetHandler(plans=plans, offline=nothing),
        close=log.behind.close,
    )

    with background_server(handlers):
        log.append(predictions(["p"], [1]))
        assert log.read("m").num_rows == 0

    assert told(log.read("m")) == [("p", 1)]


def test_the_upkeep_of_a_server_goes_on_after_a_failure() -> None:
    """A turn that fails, on a full disk say, ends neither serving nor the turns after it."""
    nothing: Any = None
    turns: list[int] = []

    def upkeep() -> None:
        turns.append(len(turns))
        if len(turns) == 1:
            raise UnavailableError("the disk is full", fix="make room")

    plans = Plans(catalog=nothing)
    handlers = Handlers(
        plans=plans,
        features=FeatureHandler(plans=plans, online=nothing, clock=ManualClock()),
        training=TrainingSetHandler(plans=plans, offline=nothing),
        upkeep=upkeep,
    )

    with background_server(handlers, limits=Limits(upkeep_s=0.02)):
        end = time.monotonic() + 5.0
        while time.monotonic() < end and len(turns) < 3:
            time.sleep(0.01)

    assert len(turns) >= 3


def test_what_is_wired_together_is_written_when_it_is_closed(tmp_path: Path) -> None:
    """The log that predictions go to is the one that closing empties, below the project's home."""
    with connect(Settings(home=tmp_path, redis_url=SecretStr("redis://127.0.0.1:1"))) as parts:
        served: Any = handlers_of(parts)
        served.predictor.sink.append(predictions(["p"], [1]))
        served.close()

    assert told(PredictionLog(tmp_path / "predictions").read("m")) == [("p", 1)]


def test_a_thousand_responses_are_written_as_one_and_without_pandas(tmp_path: Path) -> None:
    """Rows are those of each response by itself; a server's log loads nothing that is a second of its calls' time."""
    held = [
        predictions([f"p{i}", "q"], [DAY_US + i, DAY_US + i], scores=[0.5, NAN], degraded=i % 2 == 0)
        for i in range(200)
    ]
    held += [predictions(["p"], [DAY_US], number=2), predictions(["p"], [DAY_US], model="other")]

    together, alone = alike(held), pa.concat_tables([prediction_rows(one) for one in held])

    assert len(together) == 4
    rows = pa.concat_tables([prediction_rows(one) for one in together])
    order = [("prediction_id", "ascending"), ("version", "ascending")]
    assert rows.sort_by(order).equals(alone.sort_by(order))
    done = subprocess.run([sys.executable, "-c", CHILD, tmp_path], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "1 False"


def test_a_prediction_is_found_by_reading_one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its identity begins with when it was asked, a file's name says from when to when: all others stay closed."""
    log = PredictionLog(tmp_path, batch_rows=1)
    for at in range(40):
        log.append(predictions([f"p{at}", "q"], [at * DAY_US // 8, at * DAY_US // 8 + 1]))
        log.append(predictions(["p"], [at * DAY_US // 8 + 5], model="other"))
        log.behind.flush()
    row = log.read("m").to_pylist()[50]
    opened: list[str] = []
    read = pq.read_table

    def counted(file: Path, **more: Any) -> pa.Table:
        opened.append(file.name)
        return read(file, **more)

    monkeypatch.setattr("lineshaft.ops.predictions.pq.read_table", counted)

    assert find_prediction(tmp_path, row["prediction_id"]).to_pylist() == [row]
    assert len(opened) == 1
    with pytest.raises(NotFoundError, match="no prediction"):
        find_prediction(tmp_path, row["prediction_id"][:-1] + "x")
    opened.clear()
    assert len(last_before(tmp_path, "m", {"asset_id": "q"}, at_us=20 * DAY_US // 8 + 1, count=3)) == 3
    assert len(opened) <= 4


def test_a_log_of_before_identities_told_their_time_is_searched_whole(tmp_path: Path) -> None:
    """Nothing that was remembered is lost: neither by its name of then, nor as the past of an entity."""
    log = PredictionLog(tmp_path)
    log.append(predictions(["p", "q"], [7, 8]))
    log.append(predictions(["p"], [DAY_US]))
    log.behind.flush()
    (first, _) = sorted(tmp_path.rglob("*.parquet"), key=lambda file: file.parent.name)
    table = read_predictions(tmp_path, "m").slice(0, 2).set_column(0, "prediction_id", pa.array(["a" * 32, "b" * 32]))
    pq.write_table(table, first.with_name("0123456789abcdef.parquet"))
    first.unlink()

    assert find_prediction(tmp_path, "b" * 32)["asset_id"].to_pylist() == ["q"]
    past = last_before(tmp_path, "m", {"asset_id": "p"}, at_us=DAY_US, count=10)
    assert [one["at_us"] for one in past] == [7, DAY_US]


def test_the_past_of_an_entity_is_its_last_predictions_in_order(tmp_path: Path) -> None:
    """Until the moment, of that entity alone, each once however often it was written, in whatever order."""
    log = PredictionLog(tmp_path, batch_rows=1)
    for at in (5, 3, 9, 1, 7, 3):
        log.append(predictions(["p", "q"], [at, at + 100], scores=[at / 10, 0.0]))
        log.behind.flush()

    past = last_before(tmp_path, "m", {"asset_id": "p"}, at_us=7, count=3)

    assert past == [{"at_us": at, "version": "m@1", "score": at / 10} for at in (3, 5, 7)]
    assert last_before(tmp_path, "m", {"asset_id": "p", "position": "de"}, at_us=7, count=3) == []
