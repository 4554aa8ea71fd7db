"""What every run of the tests shares: the switch that turns a skipped test into a failure."""

from __future__ import annotations

import prometheus_client  # noqa: F401 - before Feast, whose import makes every later metric a file shared by processes
import pytest

# The one reason a clean machine may skip for: data sets that are read by path and never committed.
EXPECTED = "Skipped: no real data at "


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--fail-on-skip`, which continuous integration always gives."""
    parser.addoption(
        "--fail-on-skip",
        action="store_true",
        help="fail when anything was skipped but for absent real data: a skip is a promise not checked",
    )


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail the run when `--fail-on-skip` was given and something was skipped unexpectedly."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or not session.config.getoption("--fail-on-skip"):
        return
    skipped = [report.longrepr for report in reporter.stats.get("skipped", [])]
    unexpected = [reason for reason in skipped if not (isinstance(reason, tuple) and reason[2].startswith(EXPECTED))]
    if unexpected and session.exitstatus == pytest.ExitCode.OK:
        reporter.write_line(f"\n{len(unexpected)} skipped unexpectedly, and --fail-on-skip was given", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
