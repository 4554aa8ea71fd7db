"""Why a Flink job failed, in one line, out of a page of Java and Python."""

from __future__ import annotations

import pytest

from lineshaft_flink.process import _cause

JAVA = """org.apache.flink.client.program.ProgramInvocationException: The main method caused an error
\tat org.apache.flink.Client.run(Client.java:1)
Caused by: org.apache.flink.runtime.JobException: Recovery is suppressed
Caused by: java.io.IOException: No space left on device"""
PYTHON = f"""{JAVA}
Caused by: java.lang.RuntimeException: Error received from SDK harness: Traceback (most recent call last):
  File "operators.py", line 41, in process_element
ValueError: block of 3 channels, 2 declared"""
OURS = """Traceback (most recent call last):
  File "driver.py", line 9, in main
lineshaft.errors.InputError: LS-INP  channel 'x' is not declared
  at: blocks.parquet
  fix: FooError: is no name of a reason either"""


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("", "no reason given"),
        ("the process was killed", "the process was killed"),
        (JAVA, "java.io.IOException: No space left on device"),
        (PYTHON, "ValueError: block of 3 channels, 2 declared"),
        (OURS, "lineshaft.errors.InputError: LS-INP  channel 'x' is not declared"),
        ("LS-INP  a bad thing\n  at: here\n  fix: mend it", "LS-INP  a bad thing"),
        ("x" * 700, "x" * 600),
    ],
    ids=["nothing", "one line", "java", "python within java", "ours", "ours alone", "long"],
)
def test_the_reason_is_the_innermost_error(text: str, cause: str) -> None:
    """Python's error goes before Java's; the place and the remedy of one of ours are not taken for its reason."""
    assert _cause(text) == cause
