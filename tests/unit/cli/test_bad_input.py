"""Every command meets input it cannot use with a code, words and a way out; none with a traceback."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import typer

from lineshaft.cli.commands import app
from lineshaft.cli.serve import moment_us, parse_keys, read_entities
from lineshaft.errors import InputError

Lineshaft = Callable[..., Any]
ASSET = ("--key", "asset_id=pump-1", "--key", "position=de")
TABLES = {
    "whole.csv": "asset_id,position,event_time\npump-1,de,2024-01-01T00:02:05\n",
    "no_time.csv": "asset_id,position\npump-1,de\n",
    "no_key.csv": "asset_id,event_time\npump-1,2024-01-01T00:02:05\n",
    "odd_time.csv": "asset_id,position,event_time\npump-1,de,yesterday\n",
    "ragged.csv": "asset_id,position,event_time\npump-1\n",
    "not.parquet": "no parquet at all",
}

REFUSED: dict[str, tuple[tuple[str, ...], str, str]] = {
    "alerts ack": (("alerts", "ack", "nothing"), "LS-NOF", "no alert 'nothing'"),
    "alerts found": (("alerts", "found", "nothing", "false"), "LS-NOF", "no alert 'nothing'"),
    "alerts run": (("alerts", "run"), "LS-NOF", "no model has a champion that declares an alert"),
    "alerts run, no model": (("alerts", "run", "nosuch"), "LS-NOF", "no model 'nosuch' is declared"),
    "audit verify": (("audit", "verify", "--heads", "nosuch.json"), "LS-ENV", "nosuch.json"),
    "backfill": (("backfill", "pump"), "LS-NOF", "no view 'pump'"),
    "demo": (("demo", "--data", "there/is/none"), "LS-NOF", "there is no such folder"),
    "drift calibrate": (("drift", "calibrate", "m"), "LS-NOF", "model 'm' has no champion"),
    "drift check": (("drift", "check", "m"), "LS-NOF", "model 'm' has no champion"),
    "drift report": (("drift", "report", "m"), "LS-NOF", "model 'm' has no champion"),
    "drill": (("drill", "earthquake"), "LS-INP", "no drill 'earthquake'"),
    "experiments start": (("experiments", "start", "m", "--reason", "x"), "LS-NOF", "'m'"),
    "experiments status": (("experiments", "status", "m"), "LS-NOF", "'m'"),
    "experiments stop": (("experiments", "stop", "m", "--reason", "x"), "LS-NOF", "no experiment on 'm'"),
    "explain": (("explain", "nothing"), "LS-NOF", "no prediction 'nothing'"),
    "features": (("features", "pump_health", *ASSET, "--at", "24:00"), "LS-INP", "'24:00' is no moment"),
    "ingest": (("ingest", "there/is/none", "--name", "femto"), "LS-INP", "no file matches"),
    "land": (("land", "--every", "-1"), "LS-INP", "--every is -1"),
    "lineage": (("lineage", "nothing"), "LS-NOF", "nothing is called 'nothing'"),
    "models approve": (("models", "approve", "m@one", "--reason", "x"), "LS-INP", "'m@one'"),
    "models card": (("models", "card", "m@1"), "LS-NOF", "nothing is known of a model 'm'"),
    "models card, twice": (("models", "card", "m@1", "--html", "--md"), "LS-INP", "HTML or Markdown, not both"),
    "models clear": (("models", "clear", "m", "--slot", "shadow", "--reason", "x"), "LS-NOF", "has no shadow"),
    "models export": (("models", "export", "m@1", "--to", "m.onnx"), "LS-NOF", "nothing is known of a model 'm'"),
    "models history": (("models", "history", "m"), "LS-NOF", "'m'"),
    "models promote": (("models", "promote", "m@1", "--reason", "x"), "LS-NOF", "nothing is known of a model 'm'"),
    "models promote, no number": (("models", "promote", "m", "--reason", "x"), "LS-INP", "'m'"),
    "models quarantine": (
        ("models", "quarantine", "m@1", "--reason", "x"),
        "LS-NOF",
        "nothing is known of a model 'm'",
    ),
    "models retire": (("models", "retire", "m@1", "--reason", "x"), "LS-NOF", "nothing is known of a model 'm'"),
    "models rollback": (("models", "rollback", "m", "--reason", "x"), "LS-NOF", "no earlier champion"),
    "models runs": (("models", "runs", "99"), "LS-NOF", "there is no run 99"),
    "models show": (("models", "show", "m"), "LS-NOF", "'m'"),
    "models verify": (("models", "verify", "m"), "LS-NOF", "'m'"),
    "online rebuild": (("online", "rebuild", "pumps", "pump"), "LS-NOF", "no view 'pump'"),
    "outcomes": (("outcomes", "m"), "LS-NOF", "no model 'm' is declared"),
    "checks diff": (("checks", "diff", "nothing"), "LS-NOF", "no view 'nothing'"),
    "checks docs": (("checks", "docs", "nothing"), "LS-NOF", "no view 'nothing'"),
    "checks generate": (("checks", "generate", "nothing"), "LS-NOF", "no view 'nothing'"),
    "checks run": (("checks", "run", "nothing"), "LS-NOF", "no view 'nothing'"),
    "export odcs": (("export", "odcs", "nothing"), "LS-NOF", "no view 'nothing'"),
    "quarantine discard": (("quarantine", "discard", "b", "--reason", "r"), "LS-NOF", "nothing in quarantine"),
    "quarantine release": (("quarantine", "release", "b", "--reason", "r"), "LS-NOF", "nothing in quarantine"),
    "quarantine release, no reason": (("quarantine", "release", "b", "--reason", " "), "LS-INP", "needs a reason"),
    "quarantine show": (("quarantine", "show", "b"), "LS-NOF", "nothing in quarantine"),
    "predict": (("predict", "nothing", "--key", "pump-1"), "LS-INP", "'pump-1' is no key"),
    "reproduce": (("reproduce", "m@1"), "LS-NOF", "nothing is known of a model 'm'"),
    "serve": (("serve", "--address", "0.0.0.0:0"), "LS-INP", "no authentication"),
    "simulate": (("simulate", "--assets", "0"), "LS-INP", "a fleet with assets 0"),
    "simulate, odd period": (("simulate", "--every-s", "7"), "LS-INP", "7"),
    "sites place": (("sites", "place", "--reason", "x"), "LS-INP", "assets are named"),
    "tokens create": (("tokens", "create", "x", "--grant", "vibration:boss"), "LS-INP", "'vibration:boss' is no grant"),
    "tokens create, no time": (
        ("tokens", "create", "x", "--grant", "a:reader", "--days", "0"),
        "LS-INP",
        "time to live",
    ),
    "tokens revoke": (("tokens", "revoke", "nobody"), "LS-NOF", "no token 'nobody'"),
    "train": (("train", "nothing"), "LS-NOF", "no model 'nothing' is declared"),
    "train, no service": (("train", "bearing_failure"), "LS-NOF", "no service 'bearing_health'"),
    "training-set": (("training-set", "wealth", "whole.csv", "out.parquet"), "LS-NOF", "no service 'wealth'"),
    "training-set, no time": (("training-set", "pump_health", "no_time.csv", "o"), "LS-INP", "no column 'event_time'"),
    "training-set, no key": (("training-set", "pump_health", "no_key.csv", "o"), "LS-INP", "keyed by 'position'"),
    "training-set, odd time": (("training-set", "pump_health", "odd_time.csv", "o"), "LS-INP", " is no moment"),
    "training-set, ragged": (("training-set", "pump_health", "ragged.csv", "o"), "LS-INP", "ragged.csv"),
    "training-set, no Parquet": (("training-set", "pump_health", "not.parquet", "o"), "LS-INP", "not.parquet"),
    "training-set, no folder": (("training-set", "pump_health", "whole.csv", "no/o.parquet"), "LS-ENV", "no/o.parquet"),
    "vacuum": (("vacuum", "--older-than", "5m"), "LS-INP", "files that no table names yet"),
    "verify views": (("verify", "pump"), "LS-NOF", "no view 'pump'"),
    "verify views, named": (("verify", "views", "pump"), "LS-NOF", "no view 'pump'"),
    "verify served": (("verify", "served"), "LS-INP", "no served answers are logged"),
    "verify served, odd time": (("verify", "served", "--since", "24:00"), "LS-INP", "'24:00' is no moment"),
    "watch": (("watch", "pump_health", "--key", "asset_id=a", "--address", "127.0.0.1:1"), "LS-UNA", "unavailable"),
    "watch, no key": (("watch", "pump_health", "--key", "a"), "LS-INP", "'a' is no key"),
    "watch, no token": (("watch", "s", "--key", "a=1", "--token-file", "none.txt"), "LS-INP", "no file none.txt"),
    "web": (("web", "--address", "nowhere"), "LS-INP", "'nowhere' is no address"),
}
"""Commands with arguments: what they cannot use, the code, and some words of the error."""

SETTINGS: dict[str, tuple[str, str, str, str]] = {
    "apply": ("", "", "", ""),  # these two import Feast: see test_declarations.py
    "plan": ("", "", "", ""),
    "alerts": ("DATABASE_URL", "nonsense", "LS-INP", "names no database"),
    "audit": ("RATE_PER_S", "soon", "LS-INP", "LINESHAFT_RATE_PER_S"),
    "audit heads": ("DATABASE_URL", "nonsense", "LS-INP", "names no database"),
    "drift triggers": ("DATABASE_URL", "nonsense", "LS-INP", "names no database"),
    "doctor": ("RATE_PER_S", "soon", "LS-INP", "LINESHAFT_RATE_PER_S"),
    "db upgrade": ("DATABASE_URL", "nonsense", "LS-INP", "names no database"),
    "export backstage": ("REPO", "there/is/none", "LS-NOF", "no feature repository"),
    "export codeowners": ("REPO", "there/is/none", "LS-NOF", "no feature repository"),
    "functions": ("", "", "", ""),
    "models": ("DATABASE_URL", "mysql://h/d", "LS-INP", "names no database"),
    "models policies": ("DATABASE_URL", "nonsense", "LS-INP", "names no database"),
    "online status": ("REDIS_URL", "nonsense", "LS-UNA", "not a Redis URL"),
    "quarantine history": ("DATABASE_URL", "nonsense", "LS-INP", "names no database"),
    "quarantine list": ("DATABASE_URL", "nonsense", "LS-INP", "names no database"),
    "rejects": ("DATABASE_URL", "postgresql://127.0.0.1:1/d", "LS-UNA", "database"),
    "scores": ("DATABASE_URL", "nonsense", "LS-INP", "names no database"),
    "services": ("DATABASE_URL", "sqlite:////proc/none/x.db", "LS-", "/proc/none"),
    "sites": ("DATABASE_URL", "nonsense", "LS-INP", "names no database"),
    "sites history": ("DATABASE_URL", "nonsense", "LS-INP", "names no database"),
    "tokens list": ("DATABASE_URL", "nonsense", "LS-INP", "names no database"),
    "up": ("GRPC_ADDRESS", "0.0.0.0:0", "LS-INP", "no authentication"),
    "views": ("REDIS_TIMEOUT_S", "soon", "LS-INP", "LINESHAFT_REDIS_TIMEOUT_S"),
}
"""Commands without arguments: the setting that is wrong, its value, the code, and some words of the error."""


MODEL = Path(__file__).resolve().parents[3] / "feature_repo" / "models" / "bearing_failure.yaml"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand in a folder of tables of moments, sound and otherwise."""
    for name, text in TABLES.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "feature_repo" / "models").mkdir(parents=True)
    shutil.copy(MODEL, tmp_path / "feature_repo" / "models")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def commands(command: Any, words: tuple[str, ...] = ()) -> Iterator[str]:
    """Walk the names of all commands, group by group."""
    for name, inner in command.commands.items():
        if hasattr(inner, "commands"):
            yield from commands(inner, (*words, name))
        if not hasattr(inner, "commands") or inner.invoke_without_command:
            yield " ".join((*words, name))


def test_every_command_is_tried_with_bad_input() -> None:
    """A new command needs a line above; `down` takes nothing and asks nothing of anybody."""
    tried = {name.partition(",")[0] for name in (*REFUSED, *SETTINGS)}

    assert tried == set(commands(typer.main.get_command(app))) - {"down"}


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("what", REFUSED)
def test_an_argument_that_cannot_be_used_is_told(lineshaft: Lineshaft, what: str) -> None:
    """Exit code 1, the code of the error, what is wrong and how to mend it; standard output stays empty."""
    words, code, text = REFUSED[what]

    said = lineshaft(*words)

    assert (said.code, said.out) == (1, "")
    assert said.err.lstrip().startswith(code)
    assert text in said.err
    assert "\n  fix  " in said.err
    assert "Traceback" not in said.err


@pytest.mark.parametrize("what", [name for name, (setting, *_) in SETTINGS.items() if setting])
def test_a_setting_that_cannot_be_used_is_told(
    lineshaft: Lineshaft, what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same of the environment: the error says which setting or what it led to."""
    setting, value, code, text = SETTINGS[what]
    monkeypatch.setenv(f"LINESHAFT_{setting}", value)

    said = lineshaft(*what.split(), at=tmp_path)

    assert (said.code, said.out) == (1, "")
    assert said.err.lstrip().startswith(code)
    assert text in said.err
    assert "Traceback" not in said.err


@pytest.mark.parametrize("name", sorted({*REFUSED, *SETTINGS, "down"}))
def test_a_word_too_many_is_a_question_of_usage(lineshaft: Lineshaft, name: str) -> None:
    """An option that does not exist is told with the command's usage and exit code 2."""
    said = lineshaft(*name.partition(",")[0].split(), "--no-such-option")

    assert said.code == 2
    assert "No such option" in said.err
    assert "Usage" in said.err


def test_the_rows_of_a_table_come_as_they_stand(folder: Path) -> None:
    """Times in ISO form become timestamps in their place; other columns are left as they are."""
    table = read_entities(folder / "whole.csv")

    assert table.column_names == ["asset_id", "position", "event_time"]
    assert table["event_time"].to_pylist() == [datetime(2024, 1, 1, 0, 2, 5)]  # noqa: DTZ001  as it stands there


@pytest.mark.parametrize(
    ("times", "bad", "place"),
    [
        (["2024-01-01", "2024-01-02", "tomorrow", "", "2024-01-05"], "'tomorrow'", "2 of 5 rows, the first in row 2"),
        (["2024-01-01T00:00Z", "2024-01-02", "2024-01-03T00:00Z"], "'2024-01-02'", "1 of 3 rows, the first in row 1"),
    ],
)
def test_a_time_in_a_table_that_is_none_is_told_with_its_row(
    tmp_path: Path, times: list[str], bad: str, place: str
) -> None:
    """The first of them is quoted; where most have a zone, those without are at fault."""
    (tmp_path / "rows.csv").write_text("event_time,label\n" + "".join(f"{time},1\n" for time in times))

    with pytest.raises(InputError, match=f"{bad} is no moment") as refused:
        read_entities(tmp_path / "rows.csv")

    assert refused.value.where == f"event_time, {place}, counted from 0"


@pytest.mark.parametrize(
    ("text", "us"),
    [
        ("1970-01-01T00:00:00", 0),
        ("1970-01-01 00:00:01.5", 1_500_000),
        ("1970-01-02", 86_400_000_000),
        ("1969-12-31T23:59:59.999999", -1),
        ("1970-01-01T02:00:00+02:00", 0),
        ("1970-01-01T00:00:00Z", 0),
    ],
)
def test_a_moment_is_read_in_iso_form(text: str, us: int) -> None:
    """To the microsecond, before 1970 too; with a zone it is that zone's, without it is UTC."""
    assert moment_us(text) == us


@pytest.mark.parametrize("text", ["", "now", "2024-13-01", "12:00"])
def test_what_is_no_moment_is_refused(text: str) -> None:
    """The text is quoted back with an example."""
    with pytest.raises(InputError, match="is no moment") as refused:
        moment_us(text)
    assert "2024-01-31T12:00:00" in refused.value.fix


@pytest.mark.parametrize(
    ("pairs", "rows"),
    [
        (["asset_id=a"], [{"asset_id": "a"}]),
        (["asset_id=a=b"], [{"asset_id": "a=b"}]),
        (["asset_id=", "position=de"], [{"asset_id": "", "position": "de"}]),
        (["asset_id=a,b"], [{"asset_id": "a"}, {"asset_id": "b"}]),
    ],
)
def test_keys_are_read_up_to_the_first_equals_sign(pairs: list[str], rows: list[dict[str, str]]) -> None:
    """What follows is the value, commas apart."""
    assert parse_keys(pairs).to_pylist() == rows


def test_data_of_a_request_is_read_as_numbers() -> None:
    """Beside the keys, empty where it is not known; what is no number is quoted back."""
    rows = parse_keys(["asset_id=7,8"], ["load=0.5,", "count=3,4"]).to_pylist()

    assert rows == [{"asset_id": "7", "load": 0.5, "count": 3.0}, {"asset_id": "8", "load": None, "count": 4.0}]
    with pytest.raises(InputError, match="much"):
        parse_keys(["asset_id=7"], ["load=much"])
