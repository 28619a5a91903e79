"""A project is loaded whole, or everything that is wrong with it is said at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from nexus.model.diagnostics import DiagnosticsError
from nexus.workflows.loading import LoadRequest, load

MANIFEST = """\
apiVersion: nexus/v1
project: p
sandboxes:
  web:
    templat: base
    env_vars: {A: "${{ vars.missing }}", B: "${{ sandbox.wbe.id }}"}
    count: -1
outputs:
  x: {value: "${{ sandbox.web.idd }}"}
"""


def errors_of(folder: Path, text: str) -> list[str]:
    (folder / "nexus.yaml").write_text(text)
    with pytest.raises(DiagnosticsError) as caught:
        load(LoadRequest(path=folder))
    return [f"{item.range} {item.code}" for item in caught.value.diagnostics]


def test_errors_of_fields_and_of_references_come_together_and_once(tmp_path: Path) -> None:
    assert errors_of(tmp_path, MANIFEST) == [
        "nexus.yaml:5:5 unknown-field",
        "nexus.yaml:6:19 unknown-variable",
        "nexus.yaml:6:45 unknown-resource",
        "nexus.yaml:7:12 invalid-value",
        "nexus.yaml:9:14 ambiguous-reference",
    ]


def test_references_in_a_text_that_was_not_read_whole_are_not_judged(tmp_path: Path) -> None:
    assert errors_of(tmp_path, MANIFEST + "sandboxes: {}\n") == [
        "nexus.yaml:5:5 unknown-field",
        "nexus.yaml:7:12 invalid-value",
        "nexus.yaml:10:1 duplicate-key",
    ]


def test_a_variable_without_a_value_is_told_beside_wrong_fields(tmp_path: Path) -> None:
    text = "apiVersion: nexus/v1\nproject: p\nvariables: {a: {type: string}}\nsandboxes: {w: {timout: 1h}}\n"
    assert errors_of(tmp_path, text) == ["nexus.yaml:3:13 missing-variable", "nexus.yaml:4:17 unknown-field"]
