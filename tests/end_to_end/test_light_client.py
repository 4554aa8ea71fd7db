"""A client is light: asking loads neither pandas nor Polars, which answer only who wants their frames."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from lineshaft.drills.plant import SERVICE, machine, plant_at

CHILD = """
import json, sys
from lineshaft.serving.client import Client

with Client(sys.argv[1]) as client:
    frame = client.features(sys.argv[2], asset_id=sys.argv[3:])
    loaded = [name for name in ("pandas", "polars") if name in sys.modules]
    print(json.dumps([frame.table.num_rows, loaded, len(frame.to_pandas()), "pandas" in sys.modules]))
"""


def test_asking_loads_no_frames(tmp_path: Path) -> None:
    """The first answer comes without pandas, half a second sooner; who asks for its frame gets it."""
    with plant_at(tmp_path, workers=1) as plant:
        command = [sys.executable, "-c", CHILD, plant.address, SERVICE.name, machine(0), machine(1)]
        said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout

    assert said.strip() == "[2, [], 2, true]"
