"""Draw docs/images/drift-nab.png: a healthy machine's temperature, the checks in which the usual rule alarms, and ours.

python tests/bench/plot_drift.py OUT.png        reads NAB below LINESHAFT_DATA; about a minute
"""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib as mpl
import numpy as np
from scipy import stats

from lineshaft.drift.policy import HOUR_US, DriftPolicy
from lineshaft.drift.replay import baselines_of, replay
from lineshaft.settings import Settings

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "parity"))
mpl.use("svg")

from matplotlib import pyplot as plt
from test_drift_on_real_data import nab  # type: ignore[import-not-found]


def main(out: Path) -> None:
    """Draw."""
    healthy = nab(Settings().data)
    was, now, policy = healthy.was, healthy.now, DriftPolicy()
    found = replay(
        baselines_of(was, policy, step_us=healthy.step_us), now, policy, step_us=healthy.step_us, every_us=HOUR_US
    )
    ends = np.arange(int(now.cells.min()) + 288, int(now.cells.max()), 12)
    usual = [
        end
        for end in ends.tolist()
        if stats.ks_2samp(was.values[:, 0], now.values[now.cells <= end, 0][-1000:], method="asymp").pvalue < 0.01
    ]
    days = {name: cells * healthy.step_us / 86_400e6 for name, cells in (("was", was.cells), ("now", now.cells))}
    figure, (top, bottom) = plt.subplots(2, 1, sharex=True, figsize=(9, 4), height_ratios=[3, 1], layout="constrained")
    zero = days["was"][0]
    top.plot(days["was"] - zero, was.values[:, 0], color="0.6", lw=0.6, label="baseline")
    top.plot(days["now"] - zero, now.values[:, 0], color="tab:blue", lw=0.6, label="checked every hour")
    top.set_ylabel("temperature, °F")
    top.legend(loc="lower left", frameon=False)
    bottom.vlines(np.array(usual) * healthy.step_us / 86_400e6 - zero, 0.55, 0.95, color="tab:red", lw=0.6)
    bottom.vlines([one.at_us / 86_400e6 - zero for one in found.alarms], 0.05, 0.45, color="tab:red", lw=2)
    names = [
        "here: " + (f"{len(found.alarms)} alarms" if found.alarms else "no alarm"),
        f"usual rule: {len(usual)} alarms",
    ]
    bottom.set_yticks([0.25, 0.75], names)
    bottom.set_ylim(0, 1)
    bottom.set_xlabel("days, all of them healthy")
    figure.savefig(out, dpi=110, format="png")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
