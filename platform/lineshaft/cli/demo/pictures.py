"""Two pictures: how features move over a life, and the envelope spectrum with the bearing's lines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute
import scipy.signal
from numpy.typing import NDArray

from lineshaft.cli.demo.inputs import Cast
from lineshaft.specs import View
from lineshaft.specs.bearings import Bearing
from lineshaft.wiring import Parts

HIGHEST_HZ = 500.0
BAND_HZ = (2_000.0, 5_000.0)
WANTED = (
    "_rms_5m",
    "_kurtosis_5m",
    "_envelope_ratio_bpfo_5m",
    "_envelope_ratio_bpfi_5m",
    "_mean_1h",
    "s4_mean",
    "s11_mean",
)
MOST_LINES = 4


def paint(parts: Parts, cast: Cast, folder: Path) -> list[Path]:
    """Paint what the data allows; return the files."""
    folder.mkdir(parents=True, exist_ok=True)
    views = [view for view in parts.catalog.views() if parts.offline.version(view) >= 0]
    if not views:
        return []
    view = max(views, key=lambda v: len(v.features))
    asset = _most_moved(parts, view, cast)
    files = [_trend(parts, view, asset, folder / "trend.png")]
    if view.source.name == "vibration_blocks":
        files.append(_envelope(parts, view, asset, folder / "envelope.png"))
    return files


def _most_moved(parts: Parts, view: View, cast: Cast) -> str:
    """Return the asset whose features moved furthest from their own median: what an engineer would look at first."""
    names = _shown(view)
    best, asset = -1.0, ""
    rows = pa.concat_tables(list(parts.offline.read_rows(view, features=names)))
    for candidate in sorted(set(rows["asset_id"].to_pylist()) - {cast.planted}):
        mine = rows.filter(pa.compute.equal(rows["asset_id"], candidate))
        values = np.asarray(mine[names[0]].to_numpy(), dtype=np.float64)
        values = values[np.isfinite(values)]
        # Of a single record there is no movement to see: then the strongest comes first.
        spread = (
            float(np.ptp(values) / (abs(np.median(values)) + 1e-12))
            if len(values) > 1
            else float(values.max(initial=0))
        )
        if spread > best:
            best, asset = spread, candidate
    return asset


def _shown(view: View) -> list[str]:
    chosen = [name for end in WANTED for name in view.feature_names if name.endswith(end)]
    return (chosen or list(view.feature_names))[:MOST_LINES]


def _trend(parts: Parts, view: View, asset: str, path: Path) -> Path:
    from matplotlib.figure import Figure

    names = _shown(view)
    units = {feature.name: feature.unit for feature in view.features}
    rows = pa.concat_tables(list(parts.offline.read_rows(view, features=names, assets=[asset]))).sort_by("event_time")
    figure = Figure(figsize=(10, 2 * len(names)), layout="constrained")
    axes = figure.subplots(len(names), 1, sharex=True, squeeze=False)
    groups = sorted(set(rows["position"].to_pylist())) if "position" in rows.column_names else [""]
    for axis, name in zip(axes[:, 0], names, strict=True):
        for position in groups:
            mine = rows.filter(pa.compute.equal(rows["position"], position)) if position else rows
            axis.plot(
                mine["event_time"].to_pylist(),
                mine[name].to_numpy(),
                label=position or None,
                linewidth=1.2,
                marker=".",
                markersize=3,
            )
        axis.set_ylabel(f"{name.replace('acceleration_', '').replace('_', ' ')}\n[{units[name]}]", fontsize=8)
        axis.grid(alpha=0.25)
    if len(groups) > 1:
        axes[0, 0].legend(frameon=False)
    axes[0, 0].set_title(f"{asset}: {view.name}@{view.version}", loc="left")
    figure.savefig(path, dpi=110)
    return path


def _envelope(parts: Parts, view: View, asset: str, path: Path) -> Path:
    """Paint the envelope spectrum of the asset's strongest block, with its bearing's lines and two harmonics."""
    from matplotlib.figure import Figure

    blocks = pa.concat_tables(list(parts.offline.read_blocks(view.source, assets=[asset]))).to_pylist()
    last = max(blocks, key=lambda block: float(np.square(_samples(block)).mean()))
    samples = _samples(last)
    hertz, amplitude = _spectrum(samples, last["rate_hz"])
    figure = Figure(figsize=(10, 4), layout="constrained")
    axis = figure.subplots()
    axis.plot(hertz, amplitude, color="black", linewidth=0.8)
    if last["bearing"] and last["shaft_hz"]:
        bearing = Bearing.parse(last["bearing"])
        for name, color in (("bpfo", "tab:red"), ("bpfi", "tab:blue"), ("bsf", "tab:green"), ("ftf", "tab:orange")):
            line = getattr(bearing, name) * last["shaft_hz"]
            for harmonic in (1, 2, 3):
                if harmonic * line < HIGHEST_HZ:
                    label = f"{name.upper()} {line:.1f} Hz" if harmonic == 1 else None
                    axis.axvline(harmonic * line, color=color, alpha=0.6, linestyle="--", linewidth=1, label=label)
        axis.legend(frameon=False, loc="upper right")
    axis.set(xlabel="Hz", ylabel="envelope [g]", xlim=(0, HIGHEST_HZ))
    axis.set_title(
        f"{asset} {last['position']}: envelope spectrum of {BAND_HZ[0]:.0f}-{BAND_HZ[1]:.0f} Hz, its strongest block",
        loc="left",
    )
    axis.grid(alpha=0.25)
    figure.savefig(path, dpi=110)
    return path


def _samples(block: dict[str, Any]) -> NDArray[np.float64]:
    return np.frombuffer(block["payload"], "<f4" if block["dtype"] == "f4" else "<f8").astype(np.float64)


def _spectrum(samples: NDArray[np.float64], rate_hz: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    high = min(BAND_HZ[1], 0.45 * rate_hz)
    filtered = scipy.signal.sosfiltfilt(
        scipy.signal.butter(4, (BAND_HZ[0], high), "bandpass", fs=rate_hz, output="sos"), samples
    )
    envelope = np.abs(scipy.signal.hilbert(filtered))
    amplitude = np.abs(np.fft.rfft(envelope - envelope.mean())) * 2 / len(envelope)
    return np.asarray(np.fft.rfftfreq(len(envelope), 1 / rate_hz), dtype=np.float64), amplitude
