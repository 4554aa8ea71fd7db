"""How long it takes to find one prediction among a million, and an entity's last ten, beside reading the log whole.

    python tests/bench/bench_find.py                    a million predictions of 10 models over 20 days; about 4 minutes
    python tests/bench/bench_find.py --count 50000

Files hold 1,000 rows of 60 inputs, as a busy server writes them.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pyarrow as pa

from lineshaft.errors import NotFoundError
from lineshaft.ops.predictions import find_prediction, last_before, read_predictions
from lineshaft.serving.prediction_log import DAY_US, PredictionLog, prediction_rows
from lineshaft.serving.predictions import Predictions

MODELS, DAYS, ASSETS, INPUTS, ROWS = 10, 20, 500, 60, 1_000


def response(model: int, first: int, spread_us: int) -> Predictions:
    """Return a thousand predictions of a model, one after the other."""
    at = (first + np.arange(ROWS)) * spread_us
    values = np.random.default_rng(first).normal(size=(ROWS, INPUTS)).astype(np.float32)
    return Predictions(
        model=f"wear_{model}",
        number=1,
        task="binary",
        service="s",
        pins=(),
        entities=pa.table({"asset_id": [f"a{(first + row) % ASSETS:03d}" for row in range(ROWS)]}),
        at_us=at.astype(np.int64),
        scores=np.linspace(0, 1, ROWS),
        statuses=np.ones(ROWS, np.int8),
        features=tuple(f"v__f{number:02d}" for number in range(INPUTS)),
        values=values,
        input_statuses=np.ones((ROWS, INPUTS), np.int8),
        ages_us={},
    )


def cpu_s(work: Callable[[], object], *, times: int) -> float:
    """Return the median CPU time of one run."""
    taken = []
    for _ in range(times):
        start = time.process_time()
        work()
        taken.append(time.process_time() - start)
    return statistics.median(taken)


def main() -> None:
    """Print one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=1_000_000)
    count = parser.parse_args().count
    with tempfile.TemporaryDirectory() as folder:
        root, per_model = Path(folder), count // MODELS
        spread_us = DAYS * DAY_US // per_model
        log = PredictionLog(root, batch_rows=ROWS, most_rows=10 * ROWS)
        for first in range(0, per_model, ROWS):
            for model in range(MODELS):
                log.append(response(model, first, spread_us))
                log.behind.flush()
        log.behind.close()
        wanted = [prediction_rows(response(model, per_model // 2 // ROWS * ROWS, spread_us)) for model in range(MODELS)]
        ids = iter([str(rows["prediction_id"][at].as_py()) for rows in wanted for at in (0, 400, 999)])

        def whole() -> None:
            with suppress(NotFoundError):  # an identity of before they told their time: every file is read
                find_prediction(root, "f" * 32)

        end_us = DAYS * DAY_US
        found = {
            "find": cpu_s(lambda: find_prediction(root, next(ids)), times=25),
            "read whole": cpu_s(whole, times=3),
            "last ten": cpu_s(
                lambda: last_before(root, "wear_3", {"asset_id": "a007"}, at_us=end_us, count=10), times=9
            ),
            "model's log": cpu_s(lambda: read_predictions(root, "wear_3"), times=3),
        }
    told = {f"{name}, cpu_s": round(took, 4) for name, took in found.items()}
    ratios = {"find": found["read whole"] / found["find"], "last ten": found["model's log"] / found["last ten"]}
    print(json.dumps({"predictions": count, **told, "ratio": {name: round(one, 1) for name, one in ratios.items()}}))


if __name__ == "__main__":
    main()
