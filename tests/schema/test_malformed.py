"""One thing wrong in each manifest: what is said about it, and where."""

from pathlib import Path

import pytest

from nexus import manifest, schema
from nexus.model.diagnostics import Diagnostics
from tests.schema.malformed import HEAD, MALFORMED, sandbox, step

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.mark.parametrize(("content", "expected"), [case[1:] for case in MALFORMED], ids=[case[0] for case in MALFORMED])
def test_a_malformed_manifest_is_reported_once_at_its_place(tmp_path: Path, content: str, expected: str):
    (tmp_path / "nexus.yaml").write_text(content)
    read = manifest.read(tmp_path)
    found = Diagnostics([*read.diagnostics, *schema.check(read)]).sorted()
    assert [f"{item.range.start.line}:{item.range.start.column} {item.code}" for item in found if item.range] == [
        expected
    ]
    assert len(found) == 1


def test_all_that_is_wrong_is_reported_at_once(tmp_path: Path):
    (tmp_path / "nexus.yaml").write_text(
        "apiVersion: nexus/v1\nproject: p\ntemplate: {}\nsandboxes:\n  a: {timeout: soon, prots: {}}\n  a: {}\n"
        "pipelines:\n  p: {steps: {s: {run: x}}}\n"
    )
    read = manifest.read(tmp_path)
    found = Diagnostics([*read.diagnostics, *schema.check(read)]).sorted()
    assert [(item.range.start.line, item.code) for item in found if item.range] == [
        (3, "unknown-field"),
        (5, "invalid-value"),
        (5, "unknown-field"),
        (6, "duplicate-key"),
        (8, "missing-field"),
    ]


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("template: {}", "templates"),
        ("sandbox: {}", "sandboxes"),
        ("apiversion: x", "apiVersion"),
        ("services: {}", "sandboxes"),
    ],
)
def test_an_unknown_section_names_the_nearest_known_one(tmp_path: Path, written: str, meant: str):
    (tmp_path / "nexus.yaml").write_text(HEAD + written + "\n")
    assert [item.hint for item in schema.check(manifest.read(tmp_path))] == [f'did you mean "{meant}"?']


def test_a_finding_names_its_resource(tmp_path: Path):
    (tmp_path / "nexus.yaml").write_text(step("sandbox: a") + "sandboxes: {a: {timeout: x}}\n")
    assert {item.address for item in schema.check(manifest.read(tmp_path))} == {"step.etl.one", "sandbox.a"}


def test_expressions_may_stand_for_any_value(tmp_path: Path):
    (tmp_path / "nexus.yaml").write_text(
        sandbox(
            "\n".join(
                f"{name}: ${{{{ vars.x }}}}"
                for name in ("timeout", "auto_resume", "env_vars", "packages", "ports", "network", "count", "uploads")
            )
        )
        + "x-mine: [anything]\n"
    )
    assert not list(schema.check(manifest.read(tmp_path)))


@pytest.mark.parametrize("example", sorted(path.name for path in EXAMPLES.iterdir() if path.is_dir()))
def test_the_examples_are_right(example: str):
    read = manifest.read(EXAMPLES / example)
    assert [*read.diagnostics, *schema.check(read)] == []
