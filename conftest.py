"""What every run of the tests shares: the switch that turns a skipped test into a failure."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--fail-on-skip`, which continuous integration always gives."""
    parser.addoption(
        "--fail-on-skip",
        action="store_true",
        help="fail when anything was skipped: a skip is a promise not checked",
    )


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail the run when `--fail-on-skip` was given and something was skipped."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or not session.config.getoption("--fail-on-skip"):
        return
    skipped = reporter.stats.get("skipped", [])
    if skipped and session.exitstatus == pytest.ExitCode.OK:
        reporter.write_line(f"\n{len(skipped)} skipped, and --fail-on-skip was given", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
