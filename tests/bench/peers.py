"""Where the scripts lie that measure the other sides: not in this repository."""

from __future__ import annotations

import sys
from pathlib import Path

PEER_FILES = ("feast_repo.py", "bench_feast_materialize.py", "grpc_gen.py", "grpc_server.py")


def peers_in(folder: Path) -> Path:
    """Return the folder of the other sides' scripts, whole; end in words where one of them is not there."""
    missing = [name for name in PEER_FILES if not (folder / name).is_file()]
    if missing:
        sys.exit(
            f"{folder} does not hold {', '.join(missing)}: the scripts that set up Feast and a bare server beside us "
            "are not part of this repository\n"
            "name the folder that holds them: --peers DIR, or `make bench-serving PEERS=DIR`"
        )
    return folder.resolve()
