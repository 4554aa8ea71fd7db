"""Functions of frequency: band powers, centroid, dominant lines, velocity, envelope lines, wavelet packets.

Each parameterised function reads its text strictly and writes its name one way, so that one meaning has one name.
"""

from __future__ import annotations

import re
from functools import partial

import numpy as np

from lineshaft.errors import DefinitionError
from lineshaft.tiles.algebra import Context, Floats, Function, State
from lineshaft.tiles.bands import Band
from lineshaft.tiles.centroid import Centroid
from lineshaft.tiles.entry import Entry, known, plain, quotient
from lineshaft.tiles.envelope import LINES, Envelope
from lineshaft.tiles.measures import band_of, band_text, count_of
from lineshaft.tiles.peaks import Peaks
from lineshaft.tiles.spectrum import NFFT, SHORTEST
from lineshaft.tiles.velocity import SquaredVelocity
from lineshaft.tiles.wavelets import NODES, WaveletPackets

STANDARD_GRAVITY = 9.80665
_UNITS = {"g": 1000.0 * STANDARD_GRAVITY, "m/s2": 1000.0}
"""What turns a velocity in (acceleration unit x s) into mm/s."""

_WELCH = "scipy.signal.welch, density x bin width, Hann, 4096-sample segments of each block"
_ENVELOPE = "Randall & Antoni 2011; MATLAB envspectrum: amplitude of the envelope, not of its square"
MOST_PEAKS = 3


def _mean_of(state: State, key: str, index: int) -> Floats:
    """Return a sum of value x weight over the sum of weights that follows it."""
    return quotient(state[key][..., index], state[key][..., index + 1])


def _band_power(state: State, _context: Context, *, key: str) -> Floats:
    return _mean_of(state, key, 0)


def _band(argument: str, *, where: str) -> Band:
    band, _, nfft = argument.partition("@")
    low, high = band_of(band, where=where)
    size = count_of(nfft, low=SHORTEST, high=2**20, where=where) if nfft else NFFT
    return Band(low=low, high=high, nfft=size)


def _make_band_power(argument: str) -> Function:
    band = _band(argument, where="band_power")
    return Function(
        name=f"band_power[{band.text}]",
        unit="{unit}^2",
        formula=f"sum of the one-sided power spectrum over {band_text(band.low, band.high)}",
        source=_WELCH,
        needs=(band,),
        finish=partial(_band_power, key=band.key),
    )


def _band_ratio(state: State, _context: Context, *, above: str, below: str) -> Floats:
    return quotient(_mean_of(state, above, 0), _mean_of(state, below, 0))


def _make_band_ratio(argument: str) -> Function:
    first, _, second = argument.partition("/")
    above, below = _band(first, where="band_ratio"), _band(second, where="band_ratio")
    texts = [band_text(band.low, band.high) for band in (above, below)]
    if above.nfft != NFFT or below.nfft != NFFT:
        raise DefinitionError("band_ratio takes two bands, no segment length", where="band_ratio")
    return Function(
        name=f"band_ratio[{texts[0]}/{texts[1]}]",
        unit="1",
        formula=f"power of {texts[0]}/power of {texts[1]}",
        source=_WELCH,
        needs=(above, below),
        finish=partial(_band_ratio, above=above.key, below=below.key),
    )


def _centroid(state: State, _context: Context) -> Floats:
    return quotient(state["centroid"][..., 0], state["centroid"][..., 1])


def _dominant(state: State, _context: Context, *, key: str, rank: int, column: int) -> Floats:
    lines = state[key]
    return np.where(lines[..., 3 * (rank - 1)] > 0, lines[..., 3 * (rank - 1) + column], np.nan)


def _make_dominant(argument: str, *, name: str, unit: str, column: int) -> Function:
    rank = count_of(argument, low=1, high=MOST_PEAKS, where=name)
    peaks = Peaks(count=MOST_PEAKS)
    return Function(
        name=f"{name}[{rank}]",
        unit=unit,
        formula=f"{'frequency' if column else 'amplitude'} of the strongest spectral line no. {rank} of the window",
        source="local maxima of the Hann power spectrum, three bins each; see lineshaft.tiles.peaks",
        needs=(peaks,),
        finish=partial(_dominant, key=peaks.key, rank=rank, column=column),
    )


def _velocity(state: State, _context: Context, *, key: str, scale: float) -> Floats:
    return np.sqrt(_mean_of(state, key, 0)) * scale


def _make_velocity(argument: str) -> Function:
    band, _, unit = argument.partition("@")
    low, high = band_of(band, where="velocity_rms")
    if low <= 0 or unit not in ("", *_UNITS):
        raise DefinitionError(
            f"velocity_rms cannot read {argument!r}",
            where="velocity_rms",
            fix="write low-highHz with low above 0, and @m/s2 where the channel is not in g",
        )
    aggregator = SquaredVelocity(low=low, high=high)
    suffix = "@m/s2" if unit == "m/s2" else ""
    return Function(
        name=f"velocity_rms[{band_text(low, high)}{suffix}]",
        unit="mm/s",
        formula="sqrt(mean(v^2)), V = A/(i 2 pi f) inside the band, 0 outside; 1 g = 9.80665 m/s^2",
        source="ISO 20816-1 broadband velocity, brick wall instead of the slopes of ISO 2954",
        needs=(aggregator,),
        finish=partial(_velocity, key=aggregator.key, scale=_UNITS[unit or "g"]),
    )


_ENVELOPE_TEXT = re.compile(r"([0-9a-z]*)(?:@([^~/]+))?(?:~(\d+(?:\.\d+)?)%)?(?:/([^~/]+))?")
_USUAL = Envelope()


def _envelope(argument: str, *, where: str, lines: tuple[str, ...]) -> tuple[str, Envelope]:
    """Read `line@band~tolerance%/background`; 2000-5000Hz, 2 % and 5-500Hz where not written."""
    match = _ENVELOPE_TEXT.fullmatch(argument.replace(" ", ""))
    line = match[1] if match else None
    if match is None or line not in lines:
        choice = f"{' | '.join(lines)}, then " if any(lines) else ""
        raise DefinitionError(
            f"{where} cannot read {argument!r}",
            where=where,
            fix=f"write {choice}@low-highHz or @full, ~tolerance%, /low-highHz of the background",
        )
    if match[2] == "full":
        low, high = 0.0, 0.0
    else:
        low, high = band_of(match[2], where=where) if match[2] else (_USUAL.low, _USUAL.high)
    around = band_of(match[4], where=where) if match[4] else (_USUAL.around_low, _USUAL.around_high)
    return line or "", Envelope(
        low=low,
        high=high,
        tolerance=float(match[3]) / 100 if match[3] else _USUAL.tolerance,
        around_low=around[0],
        around_high=around[1],
    )


def _envelope_name(name: str, line: str, envelope: Envelope) -> str:
    band = "" if envelope.band == _USUAL.band else f"@{envelope.band}"
    tolerance = "" if envelope.tolerance == _USUAL.tolerance else f"~{envelope.tolerance * 100:.12g}%"
    around = "" if envelope.around == _USUAL.around else f"/{envelope.around}"
    text = f"{line}{band}{tolerance}{around}"
    return f"{name}[{text}]" if text else name


def _envelope_ratio(state: State, _context: Context, *, key: str, index: int) -> Floats:
    return quotient(_mean_of(state, key, index), _mean_of(state, key, 2))


def _envelope_amplitude(state: State, _context: Context, *, key: str, index: int) -> Floats:
    return _mean_of(state, key, index)


def _make_envelope_line(argument: str, *, name: str) -> Function:
    line, envelope = _envelope(argument, where=name, lines=LINES)
    ratio = name == "envelope_ratio"
    return Function(
        name=_envelope_name(name, line, envelope),
        unit="1" if ratio else "{unit}",
        formula=f"envelope amplitude at {line} +- {envelope.tolerance * 100:g} %, band {envelope.band}"
        + (f", over the median of {envelope.around}" if ratio else ""),
        source=_ENVELOPE,
        needs=(envelope,),
        finish=partial(
            _envelope_ratio if ratio else _envelope_amplitude,
            key=envelope.key,
            index=Envelope.fields.index(line),
        ),
    )


def _envelope_peak(state: State, _context: Context, *, key: str, index: int) -> Floats:
    return np.where(state[key][..., 0] > 0, state[key][..., index], np.nan)


def _make_envelope_peak(argument: str, *, name: str, unit: str, index: int) -> Function:
    _, envelope = _envelope(argument, where=name, lines=("",))
    background = name == "envelope_background"
    what = "median" if background else f"{'frequency' if index else 'amplitude'} of the largest bin"
    return Function(
        name=_envelope_name(name, "", envelope),
        unit=unit,
        formula=f"{what} in {envelope.around} of the envelope spectrum, band {envelope.band}",
        source=_ENVELOPE,
        needs=(envelope,),
        finish=partial(_envelope_amplitude if background else _envelope_peak, key=envelope.key, index=index),
    )


def _wavelet_energy(state: State, _context: Context, *, index: int) -> Floats:
    packets = state["wavelet_packets"]
    return known(np.where(packets[..., 0] > 0, packets[..., 1 + index], np.nan))


def _wavelet_share(state: State, context: Context, *, index: int) -> Floats:
    total = state["wavelet_packets"][..., 1]
    for column in range(2, 1 + len(NODES)):
        total = total + state["wavelet_packets"][..., column]
    return quotient(_wavelet_energy(state, context, index=index), total)


def _make_wavelet(argument: str, *, name: str) -> Function:
    index = count_of(argument, low=0, high=len(NODES) - 1, where=name)
    share = name == "wavelet_share"
    return Function(
        name=f"{name}[{index}]",
        unit="1" if share else "{unit}^2",
        formula=f"sum of squared coefficients of packet {NODES[index]}" + ("/sum over all packets" if share else ""),
        source="pywt.WaveletPacket, db4, level 3, periodization; 0 is the lowest of 8 bands, in order of frequency",
        needs=(WaveletPackets(),),
        finish=partial(_wavelet_share if share else _wavelet_energy, index=index),
    )


def _entry(pattern: str, *, example: str, formula: str, make: partial[Function]) -> Entry:
    """Return an entry that takes its unit and source from its own example."""
    shown = make(example.partition("[")[2].removesuffix("]"))
    return Entry(
        name=pattern.partition("[")[0],
        pattern=pattern,
        example=example,
        unit=shown.unit,
        formula=formula,
        source=shown.source,
        make=make,
    )


_LINE = "[line@band~tolerance%/background]"
_LINE_NOTE = f"line one of {', '.join(LINES)}; unwritten @2000-5000Hz, ~2%, /5-500Hz; @full for no band-pass"

ENTRIES: tuple[Entry, ...] = (
    _entry(
        "band_power[low-highHz@segment]",
        example="band_power[5000-15000Hz]",
        formula="sum of the one-sided power spectrum over low <= f < high; @ a segment length other than 4096",
        make=partial(_make_band_power),
    ),
    _entry(
        "band_ratio[low-highHz/low-highHz]",
        example="band_ratio[5000-15000Hz/0-2000Hz]",
        formula="power of the first band/power of the second",
        make=partial(_make_band_ratio),
    ),
    plain(
        "spectral_centroid",
        unit="Hz",
        formula="sum(f P)/sum(P), P power per bin, 0 Hz left out",
        source=_WELCH + "; on power, where tsfresh fft_aggregated uses amplitude",
        needs=(Centroid(),),
        finish=_centroid,
    ),
    _entry(
        "dominant_frequency[rank]",
        example="dominant_frequency[1]",
        formula=f"frequency of the strongest spectral line (rank 1) of any block, up to rank {MOST_PEAKS}",
        make=partial(_make_dominant, name="dominant_frequency", unit="Hz", column=1),
    ),
    _entry(
        "dominant_amplitude[rank]",
        example="dominant_amplitude[1]",
        formula=f"amplitude sqrt(2 (P[k-1]+P[k]+P[k+1])) of the strongest line (rank 1), up to rank {MOST_PEAKS}",
        make=partial(_make_dominant, name="dominant_amplitude", unit="{unit}", column=0),
    ),
    _entry(
        "velocity_rms[low-highHz@unit]",
        example="velocity_rms[10-1000Hz]",
        formula="sqrt(mean(v^2)), V = A/(i 2 pi f) inside the band, 0 outside; from g, or from m/s^2 with @m/s2",
        make=partial(_make_velocity),
    ),
    _entry(
        f"envelope_ratio{_LINE}",
        example="envelope_ratio[bpfo]",
        formula=f"envelope amplitude at a line over the median of the background; {_LINE_NOTE}",
        make=partial(_make_envelope_line, name="envelope_ratio"),
    ),
    _entry(
        f"envelope_amplitude{_LINE}",
        example="envelope_amplitude[bpfi@full]",
        formula=f"envelope amplitude at a line; {_LINE_NOTE}",
        make=partial(_make_envelope_line, name="envelope_amplitude"),
    ),
    _entry(
        "envelope_peak[@band/background]",
        example="envelope_peak",
        formula="largest amplitude of the envelope spectrum in the background band (5-500 Hz)",
        make=partial(_make_envelope_peak, name="envelope_peak", unit="{unit}", index=0),
    ),
    _entry(
        "envelope_peak_frequency[@band/background]",
        example="envelope_peak_frequency[@full]",
        formula="frequency of that largest amplitude, in the block where it is largest",
        make=partial(_make_envelope_peak, name="envelope_peak_frequency", unit="Hz", index=1),
    ),
    _entry(
        "envelope_background[@band/background]",
        example="envelope_background",
        formula="median amplitude of the envelope spectrum in the background band (5-500 Hz)",
        make=partial(_make_envelope_peak, name="envelope_background", unit="{unit}", index=2),
    ),
    _entry(
        "wavelet_energy[packet]",
        example="wavelet_energy[3]",
        formula="sum of squared coefficients of a packet, 0 the lowest of 8 bands",
        make=partial(_make_wavelet, name="wavelet_energy"),
    ),
    _entry(
        "wavelet_share[packet]",
        example="wavelet_share[3]",
        formula="energy of a packet/energy of all",
        make=partial(_make_wavelet, name="wavelet_share"),
    ),
)
