"""Generate `lineshaft.rpc` from `proto/`; the output is committed and a test compares it with a fresh run.

`make proto` runs it.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import grpc_tools
from grpc_tools import protoc

ROOT = Path(__file__).resolve().parent.parent


def generate(destination: Path) -> list[Path]:
    """Write stubs for every proto file below a folder; return them, sorted.

    Directory = proto package = Python package, so the imports inside come out right and nothing is rewritten.
    """
    sources = sorted((ROOT / "proto").rglob("*.proto"))
    if not sources:
        return []
    bundled = Path(grpc_tools.__file__).parent / "_proto"
    outputs = [f"--{kind}_out={destination}" for kind in ("python", "pyi", "grpc_python")]
    arguments = ["protoc", f"-I{ROOT / 'proto'}", f"-I{bundled}", *outputs, *(str(source) for source in sources)]
    if protoc.main(arguments) != 0:
        message = "protoc refused the files; its message stands above"
        raise SystemExit(message)
    return sorted(path for path in destination.rglob("*_pb2*.py*") if path.suffix in {".py", ".pyi"})


def main() -> None:
    """Generate into the source tree, or into a folder named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--into", type=Path, default=ROOT / "platform")
    written = generate(parser.parse_args().into)
    sys.stdout.write(f"{len(written)} files generated\n")


if __name__ == "__main__":
    main()
