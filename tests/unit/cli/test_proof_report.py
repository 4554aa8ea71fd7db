"""What the proof says at its end."""

from __future__ import annotations

import pytest

from lineshaft.cli.verify import report
from lineshaft.ops.verify import Check
from lineshaft.testing import Comparison


def check(*, rows: int, differing: int = 0, quarantined: bool = False) -> Check:
    """Return a check of rows of two values each."""
    result = Comparison(rows=rows, values=2 * rows, missing=0, extra=0, differing=differing)
    return Check(
        path="backfill, quarantined" if quarantined else "backfill", view="v", result=result, quarantined=quarantined
    )


def test_it_adds_up_and_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    """Rows, values and differences over all checks; one differing value is not equal."""
    report([check(rows=3), check(rows=4)], as_json=False)
    assert "EQUAL  14 values in 7 rows compared: 0 differ, 0 rows missing, 0 extra" in capsys.readouterr().out
    report([check(rows=3), check(rows=4, differing=1)], as_json=False)
    said = " ".join(capsys.readouterr().out.split())
    assert "NOT EQUAL 14 values in 7 rows compared: 1 differ" in said
    assert "quarantined" not in said


def test_rows_in_quarantine_are_never_passed_over(capsys: pytest.CaptureFixture[str]) -> None:
    """They are counted, and told to be neither served nor trained on."""
    report([check(rows=3), check(rows=58, quarantined=True)], as_json=False)

    said = " ".join(capsys.readouterr().out.split())
    assert "quarantined 58 rows: held to the oracle, but neither served nor trained on" in said
