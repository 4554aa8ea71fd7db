"""Every fault is found, all at once, with its line and a way out."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

pytest.importorskip("feast")
from lineshaft.definitions.faults import CODES, WARNINGS
from lineshaft.definitions.reader import read_repo
from lineshaft.errors import DefinitionError

ROOT = Path(__file__).parents[3]

SOUND = """
from datetime import timedelta
from feast import (
    Aggregation, Entity, FeatureService, FeatureView, Field, FileSource, OnDemandFeatureView, PushSource,
    StreamFeatureView, ValueType,
)
from feast.types import Array, Float64, Int64, String

machine = Entity(name="machine", join_keys=["asset_id"], value_type=ValueType.STRING, owner="a@x")
rows = FileSource(name="readings_rows", path="none.parquet", timestamp_field="event_time")
readings = PushSource(name="readings", batch_source=rows, tags={"lineshaft.channels": "temperature [degC]"})
heat = StreamFeatureView(
    name="heat", entities=[machine], source=readings, timestamp_field="event_time",
    aggregations=[
        Aggregation(column="temperature", function="mean", name="mean_5m",
                    time_window=timedelta(minutes=5), slide_interval=timedelta(minutes=1)),
        Aggregation(column="temperature", function="max", name="max_5m",
                    time_window=timedelta(minutes=5), slide_interval=timedelta(minutes=1)),
    ],
    schema=[Field(name="mean_5m", dtype=Float64), Field(name="max_5m", dtype=Float64)],
    ttl=timedelta(minutes=10), owner="a@x", tags={"team": "a", "lineshaft.grace": "30s"},
)
lab = FeatureView(
    name="lab", entities=[machine], owner="a@x", tags={"team": "a"}, schema=[Field(name="grade", dtype=String)],
    source=FileSource(name="lab_file", path="lab.parquet", timestamp_field="at"),
)
excess = OnDemandFeatureView(
    name="excess", sources=[heat], schema=[Field(name="over", dtype=Float64)], owner="a@x", tags={"team": "a"},
    aggregations=[Aggregation(column="heat__max_5m,heat__mean_5m", function="difference", name="over")],
)
health = FeatureService(name="health", features=[heat, lab, excess], owner="a@x", tags={"team": "a"})
"""

MEAN = 'function="mean", name="mean_5m",\n                    '
MAX = 'function="max", name="max_5m",\n                    '
WINDOW, SLIDE = "time_window=timedelta(minutes=5)", "slide_interval=timedelta(minutes=1)"
DIFFERENCE = 'aggregations=[Aggregation(column="heat__max_5m,heat__mean_5m", function="difference", name="over")]'
SERVED = "features=[heat, lab, excess"

SERVICE = 'features=[heat, lab, excess], owner="a@x", tags={"team": "a"'
BREAKS: list[tuple[str, str, str, str]] = [
    ("LS-DEF-001", "from feast.types import", "from feast.typos import", "feast.typos"),
    ("LS-DEF-005", 'ttl=timedelta(minutes=10), owner="a@x",', "ttl=timedelta(minutes=10),", "owner"),
    ("LS-DEF-006", '"team": "a", "lineshaft.grace"', '"lineshaft.grace"', "team"),
    ("LS-DEF-007", 'name="heat", entities=[machine]', 'name="heat", entities=[]', "entities=[machine]"),
    ("LS-DEF-008", "value_type=ValueType.STRING", "value_type=ValueType.DOUBLE", "STRING"),
    ("LS-DEF-009", '"temperature [degC]"', '"temperature"', "name [unit]"),
    ("LS-DEF-010", "[degC]", "[celsius]", "unit"),
    ("LS-DEF-011", 'function="mean"', 'function="meen"', "did you mean mean"),
    ("LS-DEF-012", 'column="temperature", function="mean"', 'column="temprature", function="mean"', "did you mean"),
    ("LS-DEF-013", 'name="max_5m",\n', 'name="mean_5m",\n', "2 features"),
    ("LS-DEF-014", MEAN + WINDOW, MEAN + "time_window=timedelta(seconds=150)", "use 2m or 3m"),
    ("LS-DEF-015", f"{MAX}{WINDOW}, {SLIDE}", f"{MAX}{WINDOW}, {SLIDE.replace('1', '5')}", "1m, 5m"),
    ("LS-DEF-016", f"{MEAN}{WINDOW}, ", MEAN, "time_window"),
    ("LS-DEF-017", "ttl=timedelta(minutes=10)", "ttl=timedelta(seconds=80)", "use 3m or more"),
    ("LS-DEF-018", '"lineshaft.grace": "30s"', '"lineshaft.grace": "half a minute"', "write 30s"),
    ("LS-DEF-019", ', Field(name="max_5m", dtype=Float64)]', "]", "max_5m"),
    ("LS-DEF-020", 'column="heat__max_5m,', 'column="heat__maxi_5m,', "did you mean max_5m"),
    ("LS-DEF-021", 'function="difference"', 'function="diference"', "did you mean difference"),
    ("LS-DEF-022", 'column="heat__max_5m,heat__mean_5m"', 'column="heat__max_5m"', "2 inputs, not 1"),
    ("LS-DEF-023", SERVED, f'{SERVED}, "heet:mean_5m"', "did you mean heat?"),
    ("LS-DEF-023", SERVICE, f'{SERVICE}, "lineshaft.required": "heat__mean_5n"', "did you mean heat__mean_5m"),
    ("LS-DEF-018", SERVICE, f'{SERVICE}, "lineshaft.max_age": "a while"', "write 10m"),
    ("LS-DEF-033", SERVICE, f'{SERVICE}, "lineshaft.impute": "heat__mean_5n=1"', "did you mean heat__mean_5m"),
    ("LS-DEF-033", SERVICE, f'{SERVICE}, "lineshaft.impute": "heat__mean_5m=warm"', "write view__feature=0.5"),
    ("LS-DEF-033", SERVICE, f'{SERVICE}, "lineshaft.impute": "heat__mean_5m"', "write view__feature=0.5"),
    (
        "LS-DEF-033",
        SERVICE,
        f'{SERVICE}, "lineshaft.required": "lab__grade", "lineshaft.impute": "lab__grade=A"',
        "take it out of one",
    ),
    ("LS-DEF-035", SERVICE, f'{SERVICE}, "lineshaft.requird": "heat__mean_5m"', "did you mean lineshaft.required?"),
    ("LS-DEF-035", SERVICE, f'{SERVICE}, "Lineshaft.max_age": "10m"', "did you mean lineshaft.max_age?"),
    ("LS-DEF-035", SERVICE, f'{SERVICE}, "lineshaft.grace": "30s"', "it belongs to a stream view"),
    ("LS-DEF-035", '"lineshaft.grace"', '"lineshaft.grase"', "did you mean lineshaft.grace?"),
    ("LS-DEF-035", '{"lineshaft.channels"', '{"lineshaft.rate": "1", "lineshaft.channels"', "lineshaft.rate_hz"),
    (
        "LS-DEF-035",
        'value_type=ValueType.STRING, owner="a@x"',
        'value_type=ValueType.STRING, owner="a@x", tags={"lineshaft.chanels": "x [1]"}',
        "did you mean lineshaft.channels?",
    ),
    ("LS-DEF-044", '"lineshaft.grace": "30s"', '"lineshaft.deprecated": "soon"', "write 2027-03-31"),
    ("LS-DEF-024", DIFFERENCE, "udf=lambda frame: frame, udf_string=''", "naming a function"),
    ("LS-DEF-025", 'Field(name="grade", dtype=String)', 'Field(name="grade", dtype=Array(String))', "Float64"),
    ("LS-DEF-026", "aggregations=[\n        Agg", "aggregations=[] and [\n        Agg", "one Aggregation"),
    ("LS-DEF-027", 'name="lab", entities', 'name="lab__bench", entities', "a_b"),
    ("LS-DEF-031", 'path="lab.parquet", timestamp_field="at"', 'path="lab.parquet"', "timestamp_field"),
]


def write(folder: Path, text: str, name: str = "machines.py") -> Path:
    """Write a repository of one module."""
    repo = folder / "feature_repo"
    repo.mkdir(exist_ok=True)
    (repo / name).write_text(text)
    return repo


def test_the_sound_example_is_sound(tmp_path: Path) -> None:
    """What the other tests break has no fault of its own."""
    definitions = read_repo(write(tmp_path, SOUND))

    assert definitions.faults == ()
    assert [view.name for view in definitions.views] == ["heat", "lab"]


@pytest.mark.parametrize(("code", "old", "new", "says"), BREAKS, ids=[f"{entry[0]} {entry[3]}" for entry in BREAKS])
def test_a_break_is_found_with_its_place_and_cure(tmp_path: Path, code: str, old: str, new: str, says: str) -> None:
    """One changed line gives its code, a line of the file, and what to do."""
    assert old in SOUND

    faults = read_repo(write(tmp_path, SOUND.replace(old, new, 1))).faults

    found = [fault for fault in faults if fault.code == code]
    assert found, [str(fault) for fault in faults]
    assert re.match(r"feature_repo/machines\.py:\d+$", found[0].where)
    assert found[0].fix
    assert says in str(found[0])


def test_the_line_shown_is_the_one_to_change(tmp_path: Path) -> None:
    """A misspelt function is pointed at where it is written, not where its view begins."""
    text = SOUND.replace('function="max"', 'function="maxx"')

    (fault, *_) = read_repo(write(tmp_path, text)).faults

    number = int(fault.where.rpartition(":")[2])
    assert 'function="maxx"' in text.splitlines()[number - 1]
    assert fault.shown == text.splitlines()[number - 1].strip()


def test_all_faults_come_at_once(tmp_path: Path) -> None:
    """Three mistakes in three objects are three faults of one reading."""
    text = (
        SOUND.replace('function="mean"', 'function="meen"')
        .replace("[degC]", "[celsius]")
        .replace('"lab.parquet"', '""')
    )

    faults = read_repo(write(tmp_path, text)).faults

    assert {"LS-DEF-010", "LS-DEF-011", "LS-DEF-031"} <= {fault.code for fault in faults}


def test_a_refusal_names_every_fault(tmp_path: Path) -> None:
    """`checked()` is the door that nothing faulty passes."""
    text = SOUND.replace('function="mean"', 'function="meen"').replace('function="max"', 'function="maxx"')

    with pytest.raises(DefinitionError, match=r"(?s)LS-DEF-011.*LS-DEF-011"):
        read_repo(write(tmp_path, text)).checked()


def test_a_module_named_like_pythons_own_is_refused(tmp_path: Path) -> None:
    """Feast would import the other one and never see the file."""
    definitions = read_repo(write(tmp_path, SOUND, name="types.py"))

    assert [fault.code for fault in definitions.faults] == ["LS-DEF-002"]


def test_one_broken_module_does_not_hide_the_others(tmp_path: Path) -> None:
    """The sound module is still read."""
    write(tmp_path, "import nothing_of_that_name\n", name="broken.py")

    definitions = read_repo(write(tmp_path, SOUND))

    assert [fault.code for fault in definitions.faults] == ["LS-DEF-001"]
    assert "nothing_of_that_name" in definitions.faults[0].what
    assert [view.name for view in definitions.views] == ["heat", "lab"]


def test_twins_and_doubles_are_shown(tmp_path: Path) -> None:
    """Two objects of one name are refused; two views of one meaning are a warning."""
    body = SOUND.split("heat = ", 1)[1].split("lab = ", 1)[0]
    same_name = f"{SOUND}\nagain = {body}"
    same_meaning = f"{SOUND}\nwarmth = {body.replace(chr(34) + 'heat' + chr(34), chr(34) + 'warmth' + chr(34))}"

    twins = read_repo(write(tmp_path, same_name)).faults
    doubles = read_repo(write(tmp_path, same_meaning))

    assert "LS-DEF-004" in {fault.code for fault in twins}
    assert [fault.code for fault in doubles.faults] == ["LS-DEF-029"]
    assert doubles.checked() is doubles


def test_a_band_above_half_the_rate_is_a_warning(tmp_path: Path) -> None:
    """Where a source states its rate, what cannot be measured is said."""
    text = SOUND.replace('"temperature [degC]"}', '"temperature [degC]", "lineshaft.rate_hz": "100"}')
    text = text.replace('function="mean"', 'function="band_power[10-80Hz]"')

    faults = read_repo(write(tmp_path, text)).faults

    assert [fault.code for fault in faults] == ["LS-DEF-030", "LS-DEF-039"]  # a power has another unit than a maximum
    assert faults[0].warning


def test_every_code_is_documented_and_tested() -> None:
    """The reference page lists each code; each is raised by some test."""
    page = (ROOT / "docs" / "reference" / "definition-faults.md").read_text(encoding="utf-8")
    tests = "".join(file.read_text(encoding="utf-8") for file in Path(__file__).parent.glob("test_*.py"))

    assert [code for code in CODES if f"## {code}" not in page] == []
    assert [code for code in CODES if f'"{code}"' not in tests] == []
    assert set(CODES) >= WARNINGS
