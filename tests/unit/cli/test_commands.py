"""The command line on a small home: what people read, what programs parse, and what an error says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest

from lineshaft.cli.output import complain, show
from lineshaft.errors import DefinitionError
from lineshaft.specs import View
from lineshaft.stores.embedded import EmbeddedValkey
from lineshaft.tiles.catalogue import entries

Lineshaft = Callable[..., Any]
ASK = ("features", "pump_health", "--key", "asset_id=pump-1,pump-2,nobody", "--key", "position=de,de,de")


def test_functions_are_listed_with_formula_unit_and_source(lineshaft: Lineshaft) -> None:
    """Every function of the catalogue is there, none without its formula, unit and source."""
    said = lineshaft("functions", "--json")

    assert said.code == 0
    assert [row["function"] for row in said.rows] == [entry.pattern for entry in entries()]
    assert all(row["formula"] and row["unit"] and row["source"] for row in said.rows)


def test_views_and_services_name_what_they_pin(lineshaft: Lineshaft, pumps: View) -> None:
    """A view tells its version and pace, a service the view versions behind its features."""
    (view,), (service,) = lineshaft("views", "--json").rows, lineshaft("services", "--json").rows

    assert (view["view"], view["version"], view["features"]) == ("pumps", pumps.version, 2)
    assert (view["every"], view["ttl"], view["table version"], view["team"]) == ("1m", "10m", 1, "vibration")
    assert (service["service"], service["views"], service["features"]) == ("pump_health", pumps.ref, 2)


def test_an_empty_catalogue_says_what_fills_it(lineshaft: Lineshaft, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is no service a newcomer is told the command; where there is one nobody is."""
    assert lineshaft("services").err == ""
    monkeypatch.setenv("LINESHAFT_PROJECT", "another")
    assert "lineshaft apply" in lineshaft("services").err


def test_rows_that_are_not_there_say_what_makes_them(lineshaft: Lineshaft) -> None:
    """Where nothing at all was found; one row found says that the store is filled."""
    nobody = ("features", "pump_health", "--key", "asset_id=nobody", "--key", "position=de")

    assert "lineshaft backfill" in lineshaft(*nobody).err
    assert "lineshaft backfill" not in lineshaft(*ASK).err


def test_features_are_told_with_status_and_age(lineshaft: Lineshaft) -> None:
    """Present, null and not found are told apart; ages count to the moment given."""
    said = lineshaft(*ASK, "--at", "2024-01-01T00:04:00", "--json")

    found = {(row["asset_id"], row["feature"]): (row["value"], row["status"], row["age_s"]) for row in said.rows}
    assert found == {
        ("pump-1", "pumps__rms_1m"): (np.sqrt(4.5), "PRESENT", 60.0),
        ("pump-1", "pumps__kurtosis_1m"): (2.0, "PRESENT", 60.0),
        ("pump-2", "pumps__rms_1m"): (0.0, "PRESENT", 60.0),
        ("pump-2", "pumps__kurtosis_1m"): (None, "NULL", 60.0),
        ("nobody", "pumps__rms_1m"): (None, "NOT_FOUND", None),
        ("nobody", "pumps__kurtosis_1m"): (None, "NOT_FOUND", None),
    }


def test_features_asked_now_are_stale_if_the_data_is_old(lineshaft: Lineshaft) -> None:
    """Without a moment, ages count to the present: an old recording is withheld."""
    said = lineshaft(*ASK, "--json")

    assert {row["status"] for row in said.rows if row["asset_id"] != "nobody"} == {"STALE"}
    assert {row["value"] for row in said.rows} == {None}


def test_a_table_is_printed_for_people(lineshaft: Lineshaft) -> None:
    """Without --json the same rows stand in a table with its title."""
    said = lineshaft(*ASK, "--at", "2024-01-01T00:04:00")

    assert said.code == 0
    assert "pump_health, as served now" in said.out
    assert "NOT_FOUND" in said.out
    assert "2.12132" in said.out


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_training_set_is_written_for_a_table_of_moments(lineshaft: Lineshaft, tmp_path: Path, suffix: str) -> None:
    """Rows come back in order with their labels, at their own times, from CSV or Parquet; the statuses are counted."""
    moments = ["2024-01-01T00:02:05", "2024-01-01T00:01:04", "2024-01-01T00:03:05"]
    asked = pa.table({"asset_id": ["pump-1"] * 3, "position": ["de"] * 3, "event_time": moments, "label": [1, 2, 3]})
    path, out = tmp_path / f"asked{suffix}", tmp_path / "set.parquet"
    pacsv.write_csv(asked, path) if suffix == ".csv" else pq.write_table(asked, path)

    said = lineshaft("training-set", "pump_health", str(path), str(out), "--json")

    assert said.rows == {"rows": 3, "statuses": {"present": 4, "not_found": 2}, "file": str(out)}
    table = pq.read_table(out)
    assert table["label"].to_pylist() == [1, 2, 3]
    assert table["pumps__rms_1m"].to_pylist() == [np.sqrt(4.5), None, np.sqrt(4.5)]


def test_rejected_records_are_counted_by_reason(lineshaft: Lineshaft) -> None:
    """The block that could not be used is there, with why."""
    said = lineshaft("rejects", "--json")

    assert said.rows == [{"source": "vibration_blocks", "reason": "bad_rate", "records": 1}]


def test_the_online_store_is_counted_and_rebuilt(lineshaft: Lineshaft, pumps: View) -> None:
    """Status counts entities on both sides; a rebuild gives the same bytes, also of one view named."""
    status, rebuilt = (
        lineshaft("online", "status", "--json").rows,
        lineshaft("online", "rebuild", "pumps", "--json").rows,
    )

    assert status == [{"view": pumps.ref, "online": 2, "offline": 2, "table version": 1}]
    assert rebuilt == [{"view": "pumps", "rows": 2, "before": "the same bytes", "changed": 0, "removed": 0}]
    assert lineshaft("online", "rebuild", "--json").rows == rebuilt


def test_models_are_none_in_a_home_without_any(lineshaft: Lineshaft, tmp_path: Path) -> None:
    """An empty list is JSON too, and words for people."""
    with EmbeddedValkey(tmp_path / "online"):
        assert lineshaft("models", "--json", at=tmp_path).rows == []
        assert "nothing yet" in lineshaft("models", at=tmp_path).out


def test_a_fleet_is_simulated_into_a_home_and_its_server_stopped(lineshaft: Lineshaft, tmp_path: Path) -> None:
    """Blocks and side tables are told as JSON; down stops the home's server, and says when there is none."""
    with EmbeddedValkey(tmp_path / "online"):
        said = lineshaft("simulate", "--assets", "1", "--hours", "0.1", "--json", at=tmp_path)
        down = lineshaft("down", at=tmp_path)

    counts = {row["what"]: row["count"] for row in said.rows}
    assert counts["vibration_blocks: blocks"] > 0
    assert counts["process_readings: blocks"] > 0
    assert "table maintenance" in counts
    assert "embedded online server stopped" in down.err
    assert "no embedded online server was running" in lineshaft("down", at=tmp_path).err


def test_the_database_is_brought_up_to_date(lineshaft: Lineshaft, tmp_path: Path) -> None:
    """Upgrading twice stands at the same revision."""
    first, second = lineshaft("db", "upgrade", at=tmp_path), lineshaft("db", "upgrade", at=tmp_path)

    assert first.code == second.code == 0
    assert first.err == second.err
    assert "stands at revision 0" in first.err


ERRORS = {
    "an unknown service": (("features", "pump_helth", "--key", "asset_id=a"), "LS-NOF", "no service 'pump_helth'"),
    "a missing key": (("features", "pump_health", "--key", "asset_id=a"), "LS-INP", "keyed by 'position'"),
    "a key without a value": (("features", "pump_health", "--key", "asset_id"), "LS-INP", "'asset_id' is no key"),
    "keys of unequal length": (
        ("features", "pump_health", "--key", "asset_id=a,b", "--key", "position=de"),
        "LS-INP",
        "different numbers of values",
    ),
    "no moment": ((*ASK, "--at", "yesterday"), "LS-INP", "'yesterday' is no moment"),
    "an unknown view": (("online", "rebuild", "pump"), "LS-NOF", "no view 'pump'"),
    "no such folder": (("ingest", "there/is/none"), "LS-NOF", "there is no such folder"),
    "an unknown data set": (("ingest", ".", "--name", "femtoo"), "LS-NOF", "no data set 'femtoo'"),
    "an undeclared model": (("train", "nothing"), "LS-NOF", "no model 'nothing' is declared"),
    "no champion": (("predict", "nothing", "--key", "asset_id=a"), "LS-NOF", "nothing"),
    "no table of moments": (("training-set", "pump_health", "none.csv", "out.parquet"), "LS-INP", "no file none.csv"),
}


@pytest.mark.parametrize("what", ERRORS)
def test_an_error_says_what_and_how_to_mend_it(lineshaft: Lineshaft, what: str) -> None:
    """Exit code 1; standard error holds the code, what is wrong and the fix, and no traceback; nothing else printed."""
    words, code, text = ERRORS[what]

    said = lineshaft(*words)

    assert said.code == 1
    assert said.out == ""
    assert said.err.startswith(code)
    assert text in said.err
    assert "\n  fix  " in said.err
    assert "Traceback" not in said.err


def test_an_error_says_where(lineshaft: Lineshaft, tmp_path: Path) -> None:
    """A folder that holds nothing we can read is named."""
    said = lineshaft("ingest", str(tmp_path))

    assert said.code == 1
    assert f"\n  at   {tmp_path}" in said.err
    assert "\n  fix  " in said.err


@pytest.mark.parametrize("words", [(), ("--help",), ("online", "--help"), ("db",)])
def test_help_is_given_to_whoever_asks(lineshaft: Lineshaft, words: tuple[str, ...]) -> None:
    """Help names the commands."""
    said = lineshaft(*words)

    assert "Commands" in said.out + said.err


def test_values_are_written_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    """Numbers get thousands, absence a dash, truth a word."""
    show([{"n": 1_234_567, "x": 0.123456789, "none": None, "yes": True}], title="t", as_json=False)

    printed = capsys.readouterr().out
    assert all(text in printed for text in ("1,234,567", "0.123457", "–", "yes"))


def test_square_brackets_are_text_and_no_markup(capsys: pytest.CaptureFixture[str]) -> None:
    """Names like band_power[low-highHz] and lineshaft[flink] reach the reader whole, in tables and in errors."""
    complain(
        DefinitionError(
            "no function rms[x]", where="v[0].py:3", fix="pip install 'lineshaft[flink]', or band_power[1-2Hz]"
        )
    )
    error = capsys.readouterr().err
    show([{"function": "envelope_ratio[line]"}], title="of sums[a]", as_json=False)
    table = capsys.readouterr().out

    assert "no function rms[x]" in error
    assert "v[0].py:3" in error
    assert "'lineshaft[flink]', or band_power[1-2Hz]" in error
    assert "envelope_ratio[line]" in table
    assert "of sums[a]" in table


def test_a_proof_leaves_what_is_served_alone(lineshaft: Lineshaft) -> None:
    """The online store is proved beside itself: a rebuild after it finds the same bytes."""
    said = lineshaft("verify", "--no-stream", "--json")

    assert said.code == 0
    assert [row["differing"] for row in said.rows if row["path"] == "online rebuilt"] == [0]
    assert lineshaft("online", "rebuild", "--json").rows[0]["before"] == "the same bytes"
