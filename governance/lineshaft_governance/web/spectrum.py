"""The envelope spectrum of a machine's newest block, with the lines that bearing defects would leave in it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from lineshaft.specs import View
from lineshaft.tiles import catalogue
from lineshaft.tiles.algebra import Samples
from lineshaft.tiles.envelope import LINES, Envelope, EnvelopeSpectra
from lineshaft.tiles.plan import sample_batches
from lineshaft_governance.web.parts import Asked, WebParts
from lineshaft_governance.web.svg import Axis, Mark, curve, thinned

NAMES = {"bpfo": "BPFO", "bpfi": "BPFI", "bsf": "BSF", "2bsf": "2×BSF", "ftf": "FTF", "1x": "1×"}
HARMONICS = {"bpfo": 3, "bpfi": 3}
"""How often a line is marked: a race that is struck rings at multiples too."""
HOUR_US = 3_600_000_000


def latest_spectrum(parts: WebParts, asked: Asked, name: str, views: Sequence[View]) -> tuple[dict[str, Any], Any]:
    """Return the envelope spectrum as the features of a view compute it: its figures and its picture; or why none."""
    using = [(view, envelope, column) for view in views for envelope, column in _envelopes(view)[:1]]
    why = "no view of this machine looks at an envelope"
    for view, envelope, column in using:
        block = _newest_block(parts, view, name, asked.word("position"))
        if block is None:
            why = f"no blocks of {view.source.name} are kept of this machine"
            continue
        channel = view.source.channels.index(column)
        samples = [per_channel[channel] for _, per_channel in sample_batches(block, len(view.source.channels))]
        found = envelope.spectra(samples[0]) if samples else None
        if found is None:
            why = "the newest block has holes, or is too slow for the band"
            continue
        about = {
            "view": view.name,
            "source": view.source.name,
            "channel": column,
            "position": block["position"][0].as_py(),
            "at_us": block["start_us"][0].as_py(),
            "rate_hz": block["rate_hz"][0].as_py(),
            "shaft_hz": block["shaft_hz"][0].as_py(),
            "bearing": block["bearing"][0].as_py(),
            "band": envelope.band,
        }
        lines, background = _lines(envelope, samples[0], found)
        told = {**about, "lines": lines, "background": background, "why": ""}
        return told, _picture(found, lines, view.source.units[channel])
    return {"lines": [], "why": why}, None


def _envelopes(view: View) -> list[tuple[Envelope, str]]:
    """Return the envelopes that a view's features read, each with its channel."""
    return [
        (aggregator, feature.column)
        for feature in (view.features if view.source.kind == "blocks" else ())
        for aggregator in catalogue.function(feature.function).needs
        if isinstance(aggregator, Envelope)
    ]


def _newest_block(parts: WebParts, view: View, name: str, position: str) -> pa.Table | None:
    """Return the newest block of an asset in the hour before its newest row, at a position if one is named."""
    held = (parts.extents().value or {}).get(view.ref)
    newest = held.newest_us if held is not None else None
    if newest is None:
        return None
    blocks = [part.drop_columns(["payload"]) for part in _blocks(parts, view, name, newest - HOUR_US)]
    if not blocks:
        return None
    rows = pa.concat_tables(blocks).to_pylist()
    wanted = [row for row in rows if position in ("", row["position"])]
    known = [row for row in wanted if row["shaft_hz"] is not None and row["bearing"] is not None] or wanted
    if not known:
        return None
    best = max(known, key=lambda row: (row["start_us"], row["position"]))
    start = best["start_us"]
    for part in parts.offline.read_blocks(view.source, start_us=start, end_us=start + 1, assets=[name]):
        for place, at in enumerate(part["position"].to_pylist()):
            if at == best["position"]:
                return part.slice(place, 1)
    return None


def _blocks(parts: WebParts, view: View, name: str, from_us: int) -> Any:
    return parts.offline.read_blocks(view.source, start_us=from_us, assets=[name])


def _lines(envelope: Envelope, samples: Samples, found: EnvelopeSpectra) -> tuple[list[dict[str, Any]], float | None]:
    """Return where each line lies and how high it stands, by the numbers that features are made of."""
    numbers = dict(zip(envelope.fields, envelope.prepare(samples)[0].tolist(), strict=True))
    weight = numbers["background_weight"]
    background = numbers["background"] / weight if weight else None
    rows = []
    for line, hz in zip(LINES, found.lines_hz[0].tolist(), strict=True):
        known = numbers[f"{line}_weight"] > 0 and np.isfinite(hz)
        amplitude = numbers[line] / numbers[f"{line}_weight"] if known else None
        ratio = amplitude / background if amplitude is not None and background else None
        rows.append(
            {"line": NAMES[line], "key": line, "hz": hz if known else None, "amplitude": amplitude, "ratio": ratio}
        )
    return rows, background


def _picture(found: EnvelopeSpectra, lines: Sequence[dict[str, Any]], unit: str) -> Any:
    """Draw a spectrum with its lines marked."""
    amplitudes = found.amplitudes[0]
    hz = np.arange(len(amplitudes)) * found.step_hz
    known = [(one, one["hz"]) for one in lines if one["hz"]]
    reach = max([at * HARMONICS.get(one["key"], 1) for one, at in known] + [100.0]) * 1.06
    high = min(float(hz[-1]), reach)
    shown = (hz > 0) & (hz <= high)
    x, y = thinned(hz[shown], amplitudes[shown], most=1400)
    marks = [
        Mark(
            at=at * times, name=(f"{times}×" if times > 1 else "") + one["line"], kind=f"line-{one['key'].strip('12')}"
        )
        for one, at in known
        for times in range(1, HARMONICS.get(one["key"], 1) + 1)
    ]
    up = Axis.of_numbers(0.0, float(y.max()) * 1.1 if len(y) else 1.0, unit)
    title = "Envelope spectrum with the frequencies of bearing defects"
    return curve(x, y, across=Axis.of_numbers(0.0, high, "Hz"), up=up, title=title, marks=marks)
