"""Overload: what one server answers when five times as much is asked as it can answer, and how it refuses the rest.

    python tests/bench/bench_overload.py                       its peak, then 60 s at five times of it; three minutes
    python tests/bench/bench_overload.py --seconds 5 --rounds 1
    python tests/bench/bench_overload.py --rude                callers that send on whatever is refused

`lineshaft serve` on a private plant: 200 machines, 60 features in three views; each call asks for 10 machines. Calls
come at a steady pace over eight connections, whether others are answered or not, and their time counts from the moment
they were due. Servers and callers have a core each, so that neither takes the other's time: needs two cores.
Callers hold back as `Client` does while most of what they send is refused; what they do not send ends as HELD_BACK.
Goodput is what is answered at five times the peak, as a share of the peak of the same round: in a second, and in a
second of the server's CPU, which is the better guide where something else uses the cores.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import psutil

from lineshaft.drills.open_loop import Ended, by_code, drive, peak
from lineshaft.drills.overload import PATH, cores_apart, questions
from lineshaft.drills.plant import plant_at
from lineshaft.serving.restraint import Restraint


def measured(address: str, pid: int, *, times: float, seconds: float, rude: bool) -> dict[str, Any]:
    """Return one round: the peak, the overload, and calls at half the peak right after it."""
    messages = questions()
    most, at_peak = peak(address, PATH, messages)
    steady = partial(drive, address, PATH, messages, rate=0.95 * most, seconds=seconds / 4)
    at_full, full_cpu_s = with_cpu(pid, steady)
    restraint = None if rude else Restraint
    asked = partial(drive, address, PATH, messages, rate=times * most, seconds=seconds, restraint=restraint)
    over, over_cpu_s = with_cpu(pid, asked)
    after = drive(address, PATH, messages, rate=most / 2, seconds=3.0)
    answered = sum(call.code == "OK" for call in over)
    per_cpu_s = sum(call.code == "OK" for call in at_full) / full_cpu_s
    return {
        "case": "overload",
        "peak_per_s": round(most),
        "at_peak": by_code(at_peak),
        "rude": rude,
        "asked_per_s": round(times * most),
        "answered_per_s": round(answered / seconds),
        "goodput": round(answered / seconds / most, 3),
        "goodput_by_cpu": round(answered / over_cpu_s / per_cpu_s, 3),
        "at_overload": by_code(over),
        "right_after": by_code(after),
    }


def with_cpu(pid: int, work: Callable[[], list[Ended]]) -> tuple[list[Ended], float]:
    """Return what some work returns, and the CPU seconds that a process took meanwhile."""
    before = psutil.Process(pid).cpu_times()
    calls = work()
    after = psutil.Process(pid).cpu_times()
    return calls, after.user + after.system - before.user - before.system


def main() -> None:
    """Run the rounds and print one JSON line each, then the medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--times", type=float, default=5.0)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--rude", action="store_true")
    args = parser.parse_args()
    with (
        cores_apart() as others,
        tempfile.TemporaryDirectory(prefix="overload") as folder,
        plant_at(Path(folder), workers=1) as plant,
    ):
        os.sched_setaffinity(0, others)
        drive(plant.address, PATH, questions(), rate=300, seconds=1.0)
        lines = []
        for _ in range(args.rounds):
            pid = plant.server.pid
            lines.append(measured(plant.address, pid, times=args.times, seconds=args.seconds, rude=args.rude))
            print(json.dumps(lines[-1]), flush=True)
    shares = {name: statistics.median(line[name] for line in lines) for name in ("goodput", "goodput_by_cpu")}
    print(json.dumps({"case": "overload_median", "rounds": len(lines), **shares}))


if __name__ == "__main__":
    main()
