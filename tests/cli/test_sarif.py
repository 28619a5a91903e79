"""``--sarif FILE``: findings for code scanning, whatever way a command ends."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Nexus


def _results(path: Path) -> list[dict[str, Any]]:
    [run] = json.loads(path.read_text())["runs"]
    return list(run["results"])


@pytest.mark.parametrize("command", ["validate", "plan"])
def test_what_is_wrong_is_written_with_its_place_in_the_repository(nexus: Nexus, command: str) -> None:
    inner = nexus.folder / "infra" / "deeper"
    inner.mkdir(parents=True)
    Nexus(inner.parent, nexus.home).write("sandboxes:\n  web: {tmplate: base}\n")
    assert nexus("-C", "infra/deeper", command, "--sarif", "found.sarif").code == 1
    [result] = _results(nexus.folder / "found.sarif")
    assert result["ruleId"] == "unknown-field"
    assert result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "infra/nexus.yaml"


def test_a_report_that_can_not_be_written_is_an_error(nexus: Nexus) -> None:
    nexus.write("sandboxes:\n  web: {template: base}\n")
    assert "error[report-unwritable]" in nexus("validate", "--sarif", "no/such/folder/found.sarif").err
