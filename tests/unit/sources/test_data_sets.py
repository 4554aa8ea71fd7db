"""Every data set is known by its folder and fills the sources it names."""

from __future__ import annotations

from pathlib import Path

import pytest

from lineshaft.errors import InputError, NotFoundError
from lineshaft.sources.catalogue import SOURCES
from lineshaft.sources.checks import validate_blocks
from lineshaft.sources.data_sets import DATA_SETS, READERS, detect, read_data_set


@pytest.mark.parametrize("name", [data_set.name for data_set in DATA_SETS])
def test_a_set_is_told_from_its_folder_and_passes_the_door(name: str, data_root: Path) -> None:
    """Each set is detected, fills only declared sources and tables, and none of its blocks is rejected."""
    data_set = READERS[name]
    assert detect(data_root / name) is data_set

    for reading in read_data_set(data_root / name):
        assert set(reading.blocks) <= set(data_set.sources) <= set(SOURCES)
        assert set(reading.tables) <= set(data_set.tables)
        for source, blocks in reading.blocks.items():
            assert len(validate_blocks(blocks, SOURCES[source])[1]) == 0


def test_folders_that_tell_nothing_or_too_much_are_errors(tmp_path: Path) -> None:
    """The error lists the sets one may name."""
    with pytest.raises(NotFoundError, match="nothing here") as caught:
        detect(tmp_path)
    assert "femto" in caught.value.fix

    (tmp_path / "pumps.csv").touch()
    assert detect(tmp_path).name == "files"
    for file in ("ims_x.csv", "ai4i.csv"):
        (tmp_path / file).touch()
    with pytest.raises(InputError, match="ai4i and ims"):
        detect(tmp_path)


def test_unknown_names_and_paths_are_errors(tmp_path: Path) -> None:
    """A wrong name and a wrong path are told apart."""
    with pytest.raises(NotFoundError, match="no data set 'fento'"):
        read_data_set(tmp_path, name="fento")
    with pytest.raises(NotFoundError, match="no such folder"):
        detect(tmp_path / "absent")


@pytest.mark.parametrize("name", READERS)
def test_an_empty_folder_is_refused_by_every_reader(name: str, tmp_path: Path) -> None:
    """No reader takes nothing for a data set."""
    with pytest.raises(InputError) as caught:
        list(read_data_set(tmp_path, name=name))

    assert caught.value.fix
