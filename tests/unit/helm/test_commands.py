"""What the chart starts are commands that `lineshaft` has."""

from __future__ import annotations

from itertools import takewhile
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml

from lineshaft.cli.commands import app

TEMPLATES = Path(__file__).resolve().parents[3] / "helm" / "lineshaft" / "templates"


@pytest.mark.parametrize("template", ["serving.yaml", "governance.yaml", "migration.yaml", "training.yaml"])
def test_a_pod_starts_a_command_that_exists(template: str) -> None:
    """The words after `lineshaft` in a template name a command, group by group."""
    lines = [line.strip() for line in (TEMPLATES / template).read_text(encoding="utf-8").splitlines()]
    told = [line.replace("{{", "'").replace("}}", "'") for line in lines if line.startswith("args:")]
    assert told
    for words in (yaml.safe_load(line)["args"] for line in told):
        command: Any = typer.main.get_command(app)
        for word in takewhile(lambda word: not word.startswith("-"), words):
            assert word in command.commands
            command = command.commands[word]
        options = {name for parameter in command.params for name in parameter.opts}

        assert not hasattr(command, "commands")
        assert {word for word in words if word.startswith("-")} <= options
