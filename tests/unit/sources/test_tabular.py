"""Small text tables: what can be read is read alike however it was written, what cannot is told by file and line."""

from __future__ import annotations

import gzip
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from lineshaft.errors import InputError
from lineshaft.sources.tabular import (
    column,
    files_in,
    floats,
    numbers,
    read_csv,
    read_parquet,
    times_us,
    utc_us,
    wholes,
)

BASE = 1_714_979_289_000_000  # 2024-05-06T07:08:09Z
PATH = Path("mine.csv")
GOOD = b"name,value\npump,1.5\n"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", GOOD),
        ("a.csv", b"\xef\xbb\xbf" + GOOD),
        ("a.csv.gz", gzip.compress(GOOD)),
        ("a.csv", GOOD.replace(b"\n", b"\r\n")),
        ("a.csv", GOOD.rstrip()),
        ("a.csv", b'"name","value"\n"pump","1.5"\n'),
    ],
    ids=["plain", "byte-order mark", "gzip", "carriage returns", "no last newline", "quoted"],
)
def test_one_table_is_read_alike_however_it_was_written(tmp_path: Path, name: str, content: bytes) -> None:
    """Marks, line ends, compression and quotes are the writer's business."""
    (tmp_path / name).write_bytes(content)

    assert read_csv(tmp_path / name).to_pylist() == [{"name": "pump", "value": 1.5}]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"a,b\n1,2\n3\n",
        b"a,b\n1,2,3\n",
        "größe,b\n1,2\n".encode("latin-1"),
        "name,b\nKöln,2\n".encode("latin-1"),
        "a,b\n1,2\n".encode("utf-16"),
    ],
    ids=["empty", "a field short", "a field more", "latin-1 header", "latin-1 cell", "utf-16"],
)
def test_what_is_no_table_in_utf_8_is_refused_with_its_file(tmp_path: Path, content: bytes) -> None:
    """The error names the file and says what a table is."""
    file = tmp_path / "a.csv"
    file.write_bytes(content)

    with pytest.raises(InputError, match="cannot read a table") as caught:
        read_csv(file, text=("name",))

    assert caught.value.where == str(file)
    assert "UTF-8" in caught.value.fix
    assert "','" in caught.value.fix


@pytest.mark.parametrize("kept", [0.5, 0.95])
def test_a_compressed_file_that_was_cut_off_is_refused(tmp_path: Path, kept: float) -> None:
    """Half a download is not taken for a short log."""
    whole = gzip.compress(b"a,b\n" + b"".join(b"%d,%d\n" % (i, i * i) for i in range(5000)))
    file = tmp_path / "a.csv.gz"
    file.write_bytes(whole[: int(len(whole) * kept)])

    with pytest.raises(InputError, match="cannot read a table") as caught:
        read_csv(file)

    assert "whole" in caught.value.fix


@pytest.mark.parametrize("name", ["gone.csv", "gone.parquet"])
def test_a_file_that_is_absent_is_an_error_of_ours(tmp_path: Path, name: str) -> None:
    """A set with a file missing says which."""
    read = read_parquet if name.endswith("parquet") else read_csv

    with pytest.raises(InputError) as caught:
        read(tmp_path / name)

    assert caught.value.where.endswith(name)


def test_a_broken_parquet_file_is_refused(tmp_path: Path) -> None:
    """Cut off before its footer, or text under a wrong name."""
    parquet.write_table(pa.table({"a": [1, 2, 3]}), tmp_path / "whole.parquet")
    content = (tmp_path / "whole.parquet").read_bytes()

    for broken in (content[:-9], b"a,b\n1,2\n", b""):
        (tmp_path / "x.parquet").write_bytes(broken)
        with pytest.raises(InputError, match="cannot read Parquet") as caught:
            read_parquet(tmp_path / "x.parquet")
        assert caught.value.where.endswith("x.parquet")


def test_a_column_that_stands_there_twice_is_refused(tmp_path: Path) -> None:
    """Neither of the two is guessed at, in CSV or Parquet."""
    (tmp_path / "a.csv").write_text("x,y,x\n1,2,3\n")
    table = pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["x", "x"])
    parquet.write_table(table, tmp_path / "a.parquet")

    with pytest.raises(InputError, match="'x' stands there twice") as caught:
        read_csv(tmp_path / "a.csv")
    assert caught.value.where.endswith("a.csv:1")
    with pytest.raises(InputError, match="x") as caught:
        read_parquet(tmp_path / "a.parquet")
    assert "a.parquet" in caught.value.where


def test_a_file_without_a_header_is_given_names(tmp_path: Path) -> None:
    """Its first line is data, and the delimiter may be another."""
    (tmp_path / "a.csv").write_text("1;2\n3;4\n")

    table = read_csv(tmp_path / "a.csv", delimiter=";", names=("p", "q"))

    assert table.to_pydict() == {"p": [1, 3], "q": [2, 4]}


def test_columns_named_as_text_stay_text(tmp_path: Path) -> None:
    """An asset called 007 does not become 7, and NA is a name like any other."""
    (tmp_path / "a.csv").write_text("asset,n\n007,1\nNA,2\n,3\n")

    assert read_csv(tmp_path / "a.csv", text=("asset",))["asset"].to_pylist() == ["007", "NA", ""]


def test_files_of_the_folder_itself_win_over_those_below(tmp_path: Path) -> None:
    """In order of name, each once though two patterns fit; subfolders are searched only where the folder has none."""
    (tmp_path / "deep").mkdir()
    for name in ("b.csv", "a.csv", "c.txt", "deep/z.csv"):
        (tmp_path / name).write_text("")

    assert [file.name for file in files_in(tmp_path, "*.csv", "a*")] == ["a.csv", "b.csv"]
    assert [file.name for file in files_in(tmp_path, "z*")] == ["z.csv"]
    assert files_in(tmp_path / "c.txt", "*.csv") == [tmp_path / "c.txt"]


def test_no_file_at_all_is_told_with_the_patterns(tmp_path: Path) -> None:
    """The error names the folder, what was looked for, and the caller's own way to mend it."""
    with pytest.raises(InputError, match=r"no file matches \*.csv or \*.txt") as caught:
        files_in(tmp_path, "*.csv", "*.txt", fix="do this")

    assert (caught.value.where, caught.value.fix) == (str(tmp_path), "do this")
    with pytest.raises(InputError) as caught:
        files_in(tmp_path / "absent", "*.csv")
    assert caught.value.fix


def test_an_absent_column_is_told_with_those_there_are() -> None:
    """First line of the file, and what was found there."""
    with pytest.raises(InputError, match="no column 'z'") as caught:
        column(pa.table({"x": [1], "y": [2]}), "z", path=PATH)

    assert (caught.value.where, caught.value.fix) == ("mine.csv:1", "found: x, y")


def test_empty_cells_are_nan_among_floats_and_null_among_numbers() -> None:
    """Not measured is not 0; columns come out in the order asked for."""
    table = pa.table({"a": [1, None], "b": ["2.5", None], "c": [True, False]})

    np.testing.assert_array_equal(floats(table, ["b", "a", "c"], path=PATH), [[2.5, 1, 1], [np.nan, np.nan, 0]])
    assert numbers(table, "a", path=PATH).to_pylist() == [1.0, None]


@given(rows=st.integers(1, 40), data=st.data())
def test_the_line_of_the_first_cell_that_is_no_number_is_told(rows: int, data: st.DataObject) -> None:
    """Wherever it stands among numbers, in whatever chunks: header and rows are counted from 1."""
    bad = sorted(data.draw(st.sets(st.integers(0, rows - 1), min_size=1, max_size=3)))
    cells = [("n/a" if row in bad else str(row)) for row in range(rows)]
    cut = data.draw(st.integers(0, rows))
    table = pa.table({"x": pa.chunked_array([cells[:cut], cells[cut:]], pa.string())})

    with pytest.raises(InputError, match="'x' holds more than numbers") as caught:
        floats(table, ["x"], path=PATH)

    assert caught.value.where == f"mine.csv:{bad[0] + 2}"


@pytest.mark.parametrize("cell", ["1_000", "1,5", "0x10", "-", "1 2"])
def test_what_python_or_people_take_for_numbers_is_told_where_it_stands(cell: str) -> None:
    """A thousands mark or a decimal comma is not guessed at, and the line told is its own."""
    table = pa.table({"x": ["1", "2", cell, "bad"]})

    with pytest.raises(InputError) as caught:
        floats(table, ["x"], path=PATH)

    assert caught.value.where == "mine.csv:4"


@pytest.mark.parametrize(
    ("cells", "line", "what"),
    [
        ([1, 2, None], 4, "is empty"),
        ([1.0, 2.5], 3, "whole numbers"),
        (["1", "x"], 3, "whole numbers"),
        ([np.nan, 1.0], 2, "whole numbers"),
    ],
)
def test_whole_numbers_are_asked_for_strictly(cells: list[object], line: int, what: str) -> None:
    """A part of a number, text or nothing is refused with its line, never rounded."""
    with pytest.raises(InputError, match=what) as caught:
        wholes(pa.table({"x": pa.array(cells)}), "x", path=PATH)

    assert caught.value.where == f"mine.csv:{line}"
    assert wholes(pa.table({"x": ["3", "-4"]}), "x", path=PATH).tolist() == [3, -4]
    assert wholes(pa.table({"x": [3.0, 2.0**53]}), "x", path=PATH).tolist() == [3, 2**53]


SPELLINGS = [
    pa.chunked_array([["2024-05-06 07:08:09"]]),
    pa.chunked_array([["2024-05-06T09:08:09+02:00"]]),
    pa.chunked_array([["2024-05-06T07:08:09Z"]]),
    pa.chunked_array([pa.array([BASE // 10**6], pa.timestamp("s"))]),
    pa.chunked_array([pa.array([BASE * 1000], pa.timestamp("ns", tz="UTC"))]),
    pa.chunked_array([pa.array([BASE // 1000], pa.timestamp("ms", tz="Europe/Berlin"))]),
]


@pytest.mark.parametrize("times", SPELLINGS, ids=lambda times: str(times.type))
def test_one_moment_is_one_number_however_it_was_told(times: pa.ChunkedArray) -> None:
    """Text with or without an offset, and every Arrow unit and zone."""
    assert times_us(times, path=PATH, name="t").tolist() == [BASE]


@pytest.mark.parametrize(
    ("times", "where", "what"),
    [
        (["2024-05-06", "soon"], "mine.csv:3", "'soon', which is no time"),
        (["2024-05-06", ""], "mine.csv:3", "has no time"),
        (["2024-05-06", None], "mine.csv:3", "has no time"),
        (["2024-02-30"], "mine.csv:2", "which is no time"),
        ([True], "mine.csv", "holds no times"),
    ],
)
def test_what_is_no_time_is_told_where_it_stands(times: list[object], where: str, what: str) -> None:
    """The line, the cell, and how times are written."""
    with pytest.raises(InputError, match=what) as caught:
        times_us(pa.chunked_array([times]), path=PATH, name="t")

    assert caught.value.where == where
    assert caught.value.fix


@given(st.datetimes(min_value=datetime(1950, 1, 1), max_value=datetime(2200, 1, 1)))  # noqa: DTZ001 - naive on purpose
def test_a_time_without_a_zone_is_utc_to_the_microsecond(stamp: datetime) -> None:
    """Every microsecond of two hundred and fifty years comes out as itself."""
    since = stamp.replace(tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)

    assert utc_us(stamp.isoformat()) == (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
    assert utc_us("2199-12-31T23:59:59.999999") == 7_258_118_399_999_999
