"""A training set that breaks a check trains nothing, says whose check it is, and may be released with a reason."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from lineshaft.clock import ManualClock
from lineshaft.errors import CheckFailedError, CheckNotRunError
from lineshaft.ops.quarantine import RELEASED, held_batches, move_decided
from lineshaft.ops.training_check import accept
from lineshaft.specs import Feature, Source, View
from lineshaft_governance.plug import GovernanceParts

VIEW = View(
    name="vibration",
    source=Source(name="vibration_blocks", channels=("acceleration",), units=("g",)),
    entity_keys=(("asset_id", "string"),),
    features=(Feature(name="rms_1m"), Feature(name="peak_1m"), Feature(name="std_1m")),
    owner="ana@x.example",
)
SUITE = """
view: vibration
checks:
  - {kind: between, column: "rms_*", low: 0, high: 50, unit: g, why: range of the sensor}
  - {kind: pair_ge, column: "peak_*", other: "rms_*", why: the largest of values is at least their rms}
  - {kind: pair_ge, column: "rms_*", other: "std_*", why: a service may leave one of them out}
---
training: failure
checks:
  - {kind: in_set, column: label, values: [0, 1], why: it fails or it does not}
"""


@pytest.fixture(scope="module")
def governance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GovernanceParts]:
    """Open governance over these suites, with one worker for all tests."""
    folder = tmp_path_factory.mktemp("governance")
    (folder / "suites").mkdir()
    (folder / "suites" / "s.yaml").write_text(SUITE)
    opened = GovernanceParts.open(policies=folder, folder=folder / "reports", clock=ManualClock(time_us=7))
    yield opened
    opened.close()


def lesson(**columns: list[float]) -> pa.Table:
    """Return a training set of eight moments, some columns replaced; its service has left out the spread."""
    times = pa.array(np.arange(8) * 60_000_000).cast(pa.timestamp("us", tz="UTC"))
    plain = {"vibration__rms_1m": [1.0] * 8, "vibration__peak_1m": [2.0] * 8, "label": [0.0, 1.0] * 4}
    return pa.table({"asset_id": ["p"] * 8, "event_time": times, **plain, **columns})


def judged(governance: GovernanceParts, table: pa.Table, work: Path, model: str = "failure") -> None:
    """Ask whether a set may be learned from."""
    accept(model, table, views=[VIEW], judge=governance.training, work=work)


def test_a_good_set_may_be_learned_from(governance: GovernanceParts, tmp_path: Path) -> None:
    """Checks of features that the service has left out are left out too; nulls are no fault."""
    judged(governance, lesson(), tmp_path)
    judged(governance, lesson(vibration__rms_1m=[1.0, *[None] * 7]), tmp_path)  # type: ignore[list-item]

    assert held_batches(tmp_path) == []


@pytest.mark.parametrize(
    ("columns", "said", "whose"),
    [
        ({"vibration__rms_1m": [1.0] * 6 + [900.0] * 2}, "vibration__rms_1m between 0 and 50 g, in 2 of 8", "ana@x"),
        ({"vibration__peak_1m": [2.0] * 7 + [0.5]}, "vibration__peak_1m >= vibration__rms_1m, in 1 of 8", "ana@x"),
        ({"label": [0.0] * 5 + [7.0] * 3}, "label is 0 or 1, in 3 of 8", "own suite"),
        ({"label": [0.0, None] * 4}, "label is not null, in 4 of 8", "own suite"),
    ],
)
def test_a_spoilt_set_is_refused_by_name(
    governance: GovernanceParts, tmp_path: Path, columns: dict[str, list[float]], said: str, whose: str
) -> None:
    """The check, how many rows, whose it is, and the command to see them; the rows lie in quarantine."""
    with pytest.raises(CheckFailedError) as refused:
        judged(governance, lesson(**columns), tmp_path)

    (held,) = held_batches(tmp_path)
    assert said in refused.value.what
    assert whose in refused.value.where
    assert f"quarantine show {held.id}" in refused.value.fix
    assert (held.kind, held.name) == ("training", "failure")
    assert refused.value.exit_code == 3


def test_a_moment_that_stands_there_twice_is_refused(governance: GovernanceParts, tmp_path: Path) -> None:
    """Learned from twice it would count twice."""
    twice = pa.concat_tables([lesson(), lesson().slice(3, 1)])

    with pytest.raises(CheckFailedError, match=r"\(asset_id, event_time\) is unique, in 2 of 9"):
        judged(governance, twice, tmp_path)


def test_a_released_set_may_be_learned_from_and_another_may_not(governance: GovernanceParts, tmp_path: Path) -> None:
    """The release is for these rows of this set: one value more, and it is asked about again."""
    spoilt = lesson(vibration__rms_1m=[1.0] * 7 + [51.0], vibration__peak_1m=[60.0] * 8)
    with pytest.raises(CheckFailedError):
        judged(governance, spoilt, tmp_path)
    move_decided(held_batches(tmp_path)[0], RELEASED)

    judged(governance, spoilt, tmp_path)
    with pytest.raises(CheckFailedError):
        judged(governance, lesson(vibration__rms_1m=[1.0] * 7 + [52.0], vibration__peak_1m=[60.0] * 8), tmp_path)


def test_a_check_that_cannot_be_run_is_another_error(governance: GovernanceParts, tmp_path: Path) -> None:
    """A model whose own suite names what the set has not: nothing is known of it, and nothing is held as bad."""
    with pytest.raises(CheckNotRunError, match="could not be checked: label is 0 or 1") as refused:
        judged(governance, lesson().drop_columns(["label"]), tmp_path)

    assert held_batches(tmp_path) == []
    assert refused.value.exit_code == 4
