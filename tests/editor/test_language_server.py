"""What the published schema gives to editors: errors, completion and hover text."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.editor.language_server import LanguageServer
from tests.npm import installed

ROOT = Path(__file__).parents[2]
SCHEMA = ROOT / "schemas" / "nexus.schema.json"

MANIFEST = """\
apiVersion: nexus/v1
project: shop
sandboxes:
  web:
    template: base
    timeout: 1h
    on_timeout: pause
    env_vars: {STAGE: dev}
"""


@pytest.fixture(scope="module")
def server() -> Iterator[LanguageServer]:
    packages = installed(Path(__file__).parent)
    with LanguageServer(packages / "node_modules/yaml-language-server/bin/yaml-language-server", SCHEMA) as started:
        yield started


def test_a_right_manifest_has_nothing_underlined(server: LanguageServer) -> None:
    assert server.diagnostics(MANIFEST) == []


@pytest.mark.parametrize("example", sorted((ROOT / "examples").glob("*/nexus.yaml")), ids=lambda path: path.parent.name)
def test_no_example_has_anything_underlined(server: LanguageServer, example: Path) -> None:
    assert server.diagnostics(example.read_text()) == []


@pytest.mark.parametrize(
    ("right", "wrong", "line"),
    [
        ("on_timeout: pause", "on_timeout: stop", 6),
        ("template: base", "templat: base", 4),
        ("timeout: 1h", "timeout: soon", 5),
        ("apiVersion: nexus/v1", "apiVersion: nexus/v9", 0),
        ("{STAGE: dev}", "[STAGE]", 7),
    ],
)
def test_what_is_wrong_is_underlined_where_it_is(server: LanguageServer, right: str, wrong: str, line: int) -> None:
    found = server.diagnostics(MANIFEST.replace(right, wrong))
    assert {item["range"]["start"]["line"] for item in found} == {line}, found


def test_fields_and_their_values_are_completed(server: LanguageServer) -> None:
    server.diagnostics(MANIFEST + "    \n")
    fields = server.completions(8, 4)
    assert {"packages", "run_commands", "start_command", "lifecycle"} <= fields
    assert "template" not in fields, "is there already"
    server.diagnostics(MANIFEST.replace("pause", ""))
    assert {"kill", "pause"} <= server.completions(6, 16)
    server.diagnostics("")
    assert {"sandboxes", "templates", "pipelines", "variables", "secrets"} <= server.completions(0, 0)


def test_a_field_says_what_it_is(server: LanguageServer) -> None:
    server.diagnostics(MANIFEST)
    assert "What happens when its time is up" in server.hover(6, 6)
    assert "Environment of every process" in server.hover(7, 6)
