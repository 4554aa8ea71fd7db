"""`lineshaft plan` and `apply` on four teams, two hundred engineers and two thousand views, as a shell runs them.

    python tests/bench/bench_plan.py [ENGINEERS_A_TEAM]

CPU seconds are those of the command and its children; wall seconds depend on who else is at work.
"""

from __future__ import annotations

import os
import resource
import runpy
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

GENERATED = runpy.run_path(str(Path(__file__).with_name("generated_repository.py")))
TEAMS, change, write, write_teams = (GENERATED[name] for name in ("TEAMS", "change", "write", "write_teams"))
COMMAND = [sys.executable, "-m", "lineshaft.cli"]


def run(name: str, words: list[str], environment: Mapping[str, str], *, code: int) -> None:
    """Run a command; print what it took."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run([*COMMAND, *words], env=dict(environment), capture_output=True, text=True, check=False)
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    if done.returncode != code:
        raise SystemExit(f"{name} ended with {done.returncode}:\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
    print(f"{name:<44} {cpu:6.2f} s CPU  {wall:6.2f} s", flush=True)


def main(engineers: int) -> None:
    """Measure each step of a day: the first plan and apply, nothing changed, one view changed."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        repo, policies = folder / "repo", folder / "governance"
        write(repo, engineers=engineers)
        write_teams(policies / "policies" / "teams.yaml", engineers=engineers)
        with (policies / "policies" / "teams.yaml").open("a") as file:
            file.write(f'"*": {{owners: [{os.environ.get("USER", "root")}]}}\n')  # noqa: TID251  who runs this
        settings = {"HOME": folder / "home", "REPO": repo, "POLICIES": policies}
        environment = {**os.environ, **{f"LINESHAFT_{key}": str(path) for key, path in settings.items()}}  # noqa: TID251
        print(f"{len(TEAMS) * engineers} engineers, {len(TEAMS) * engineers * 10} views")
        try:
            run("plan, nothing known", ["plan"], environment, code=2)
            run("plan again", ["plan"], environment, code=2)
            run("apply of all", ["apply"], environment, code=0)
            run("plan, nothing to do", ["plan"], environment, code=0)
            for number in (3, 4, 5):
                change(repo, number=number)
                run("plan of one view's change", ["plan"], environment, code=2)
                run("apply of it", ["apply"], environment, code=0)
        finally:
            subprocess.run([*COMMAND, "down"], env=environment, capture_output=True, check=False)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 50)
