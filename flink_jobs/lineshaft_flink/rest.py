"""The few calls of Flink's REST interface that running and stopping a job takes."""

from __future__ import annotations

import json
import time
import urllib.request
from dataclasses import dataclass
from typing import Any

from lineshaft.errors import UnavailableError


@dataclass(frozen=True, slots=True)
class FlinkRest:
    """One cluster's REST address."""

    address: str

    def task_managers(self) -> int:
        """Return how many task managers have reported; 0 while the job manager is not up."""
        try:
            return int(self._call("/overview")["taskmanagers"])
        except UnavailableError:
            return 0

    def job_state(self, job_id: str) -> str:
        """Return RUNNING, RESTARTING, FINISHED, FAILED, ..."""
        return str(self._call(f"/jobs/{job_id}")["state"])

    def tasks_running(self, job_id: str) -> bool:
        """Tell whether every task of a job runs: after a restart the job says RUNNING before they do."""
        vertices = self._call(f"/jobs/{job_id}")["vertices"]
        return all(vertex["status"] in ("RUNNING", "FINISHED") for vertex in vertices)

    def checkpoints(self, job_id: str) -> int:
        """Return how many checkpoints of a job were completed."""
        return int(self._call(f"/jobs/{job_id}/checkpoints")["counts"]["completed"])

    def stop(self, job_id: str, *, savepoints: str, drain: bool, timeout_s: float = 120.0) -> str:
        """Stop a job with a savepoint; return where that lies.

        Raises `UnavailableError` where Flink cannot.
        """
        asked = self._call(f"/jobs/{job_id}/stop", {"targetDirectory": savepoints, "drain": drain})
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            answer = self._call(f"/jobs/{job_id}/savepoints/{asked['request-id']}")
            if answer["status"]["id"] == "COMPLETED":
                done = answer["operation"]
                if "location" not in done:
                    raise UnavailableError(f"the savepoint failed: {str(done)[:1500]}", where=job_id, fix="try again")
                return str(done["location"])
            time.sleep(0.3)
        raise UnavailableError(f"no savepoint within {timeout_s:.0f} s", where=job_id, fix="see the cluster's web page")

    def _call(self, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(  # noqa: S310  the address is ours
            f"{self.address}/v1{path}", data=data, headers={"Content-Type": "application/json"}
        )
        try:
            with urllib.request.urlopen(request, timeout=10.0) as answer:  # noqa: S310
                found: dict[str, Any] = json.load(answer)
                return found
        except (OSError, ValueError) as error:
            raise UnavailableError(f"Flink's job manager does not answer: {error}", where=self.address) from error
