"""The catalogue reads names strictly, writes them one way, and can be added to."""

from __future__ import annotations

import pytest

from lineshaft.errors import ConflictError, DefinitionError
from lineshaft.tiles import catalogue
from lineshaft.tiles.entry import Entry, plain
from lineshaft.tiles.moments import Moments
from lineshaft.tiles.statistics import ENTRIES


@pytest.mark.parametrize("entry", catalogue.entries(), ids=lambda entry: entry.name)
def test_every_entry_says_what_it_is(entry: Entry) -> None:
    """Each entry has a formula, a unit, a source, and an example that reads back as itself."""
    function = catalogue.function(entry.example)

    assert all((entry.formula, entry.unit, entry.source))
    assert function.name == entry.example
    assert entry.pattern.startswith(entry.name)
    assert function.needs


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (" kurtosis ", "kurtosis"),
        ("band_power[5000.0-15000Hz]", "band_power[5000-15000Hz]"),
        ("band_power[0-2000Hz@4096]", "band_power[0-2000Hz]"),
        ("band_power[0-2000Hz@512]", "band_power[0-2000Hz@512]"),
        ("velocity_rms[10-1000Hz@g]", "velocity_rms[10-1000Hz]"),
        ("envelope_ratio[bpfo@2000-5000Hz~2%/5-500Hz]", "envelope_ratio[bpfo]"),
        ("envelope_ratio[2bsf@full~1.5%]", "envelope_ratio[2bsf@full~1.5%]"),
        ("envelope_peak[@full/5-1000Hz]", "envelope_peak[@full/5-1000Hz]"),
        ("envelope_peak[]", "envelope_peak"),
    ],
)
def test_one_meaning_has_one_name(text: str, name: str) -> None:
    """Different spellings of one function give one name, and that name reads back."""
    assert catalogue.function(text).name == name
    assert catalogue.function(name).name == name


@pytest.mark.parametrize(
    "text",
    [
        *("", "kurtosis[3]", "Kurtosis", "band_power", "band_power[15000-5000Hz]", "band_power[5-6]", "os.system(1)"),
        *("dominant_frequency[0]", "dominant_frequency[4]", "velocity_rms[0-1000Hz]", "velocity_rms[10-1000Hz@mm]"),
        *("envelope_ratio", "envelope_ratio[bpfx]", "envelope_ratio[bpfo@fast]", "envelope_peak[bpfo]"),
        *("wavelet_energy[8]", "wavelet_energy[-1]", "deviation_from_baseline[0]", "band_ratio[1-2Hz]"),
    ],
)
def test_what_cannot_be_read_is_refused(text: str) -> None:
    """A name that cannot be computed as written is a definition error with a fix."""
    with pytest.raises(DefinitionError) as caught:
        catalogue.function(text)

    assert caught.value.fix


def test_near_names_are_offered() -> None:
    """A misspelt name is answered with the nearest ones."""
    with pytest.raises(DefinitionError) as caught:
        catalogue.function("band_powr[1-2Hz]")

    assert "band_power[low-highHz@segment]" in caught.value.fix


def test_a_team_adds_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """A registered entry is a function like any other; a taken name is refused."""
    monkeypatch.setattr(catalogue, "_registered", dict(catalogue._registered))  # noqa: SLF001 - undone after the test
    needs = (Moments(),)
    mine = plain("team_twice", unit="1", formula="2m", source="us", needs=needs, finish=lambda s, _: 2 * s["moments"])
    catalogue.register(mine)
    catalogue.register(mine)

    assert catalogue.function("team_twice").formula == "2m"
    with pytest.raises(ConflictError, match="mean"):
        catalogue.register(
            plain("mean", unit="1", formula="", source="", needs=needs, finish=lambda s, _: s["moments"])
        )


def test_aggregator_keys_are_distinct() -> None:
    """One key means one aggregator with its parameters: equal keys are equal objects."""
    seen: dict[str, object] = {}
    for entry in catalogue.entries():
        for aggregator in catalogue.function(entry.example).needs:
            assert seen.setdefault(aggregator.key, aggregator) == aggregator
    assert len(ENTRIES) < len(catalogue.entries())
