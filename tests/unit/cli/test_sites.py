"""Sites on the command line: assets are placed, a version is promoted for one site, and it is told which is where."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lineshaft.registry.records import Candidate
from lineshaft.settings import Settings
from lineshaft.stores.embedded import EmbeddedValkey
from lineshaft.wiring import Parts, connect

Lineshaft = Callable[..., Any]
WHY = ("--reason", "its pumps differ")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return a home of its own: the registry of the shared one belongs to other tests."""
    folder = tmp_path_factory.mktemp("sites")
    with EmbeddedValkey(folder / "online"):
        yield folder


@pytest.fixture(scope="module")
def parts(home: Path, grinder: Candidate) -> Iterator[Parts]:
    """Return the parts of the home, in which are two good versions."""
    with connect(Settings(home=home)) as opened:
        for one in (grinder, grinder):
            opened.registry.register(one, actor="ann")
        yield opened


@pytest.mark.usefixtures("parts")
def test_a_version_is_promoted_for_a_site_and_taken_back_from_it(lineshaft: Lineshaft) -> None:
    """Beside the general champion, as the list says; its rollback has nowhere to go, and says how it is left."""
    lineshaft("models", "promote", "grinder@1", *WHY)
    made = lineshaft("models", "promote", "grinder@2", "--to", "champion", "--site", "plant-b", *WHY, "--json").rows[0]

    assert (made["site"], made["assets"], made["following"]) == ("plant-b", 0, 0)
    roles = {row["model"]: row["role"] for row in lineshaft("models", "--json").rows}
    assert roles == {"grinder@1": "champion", "grinder@2": "champion of plant-b"}
    told = lineshaft("models", "rollback", "grinder", "--site", "plant-b", *WHY)
    assert "lineshaft models clear" in told.err
    assert lineshaft("models", "clear", "grinder", "--slot", "champion", "--site", "plant-b", *WHY).code == 0
    assert {row["model"]: row["role"] for row in lineshaft("models", "--json").rows}["grinder@2"] == ""
    assert lineshaft("models", "verify", "grinder").code == 0


@pytest.mark.usefixtures("parts")
def test_assets_are_placed_by_name_or_by_a_file(lineshaft: Lineshaft, tmp_path: Path) -> None:
    """What did not move is not counted; numbers are names; the history says who moved what."""
    file = tmp_path / "assets.csv"
    file.write_text("asset_id,site\n007,plant-a\npump-2,plant-b\n")

    assert lineshaft("sites", "place", "pump-1", "pump-2", "--site", "plant-b", *WHY, "--json").rows[0]["moved"] == 2
    assert lineshaft("sites", "place", "--file", str(file), *WHY, "--json").rows[0]["moved"] == 1
    assert lineshaft("sites", "place", "pump-1", *WHY, "--json").rows[0]["moved"] == 1

    assert lineshaft("sites", "--json").rows == [
        {"asset": "007", "site": "plant-a"},
        {"asset": "pump-2", "site": "plant-b"},
    ]
    (was,) = lineshaft("sites", "history", "pump-1", "--json").rows
    assert (was["site"], was["reason"], was["to"] != "now") == ("plant-b", "its pumps differ", True)


@pytest.mark.parametrize(
    ("text", "said"),
    [("asset_id\np1\n", "does not say where"), ("asset_id,site\np1,a\np1,b\n", "'p1' stands there twice")],
)
@pytest.mark.usefixtures("parts")
def test_a_file_that_does_not_say_where_is_refused(lineshaft: Lineshaft, tmp_path: Path, text: str, said: str) -> None:
    """Nothing is placed; so where there is neither file nor name, or both."""
    file = tmp_path / "assets.csv"
    file.write_text(text)

    told = lineshaft("sites", "place", "--file", str(file), *WHY)

    assert (told.code, said in told.err) == (1, True)
    for words in ((), ("p1", "--file", str(file))):
        assert lineshaft("sites", "place", *words, *WHY).err.startswith("LS-INP")
