"""The benches that stand beside other products say in words where those are missing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize("bench", ["bench_serving.py", "bench_throughput.py"])
def test_a_bench_without_the_other_sides_says_what_is_missing(bench: str, tmp_path: Path) -> None:
    """A clone by itself has none of their scripts: the folder, the files and both ways to name it are told."""
    (tmp_path / "grpc_gen.py").touch()
    command = [sys.executable, str(ROOT / "tests" / "bench" / bench), "--peers", str(tmp_path)]

    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 1
    assert done.stderr.startswith(
        f"{tmp_path} does not hold feast_repo.py, bench_feast_materialize.py, grpc_server.py:"
    )
    assert "--peers DIR" in done.stderr
    assert "PEERS=DIR" in done.stderr
    assert "Traceback" not in done.stderr


def test_make_hands_the_folder_on() -> None:
    """`make bench-serving PEERS=…` names it to both benches."""
    command = ["make", "--no-print-directory", "-n", "bench-serving", "PEERS=a b"]

    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout

    assert told.count('--peers "a b"') == 2
