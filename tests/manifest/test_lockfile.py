"""nexus.lock as a file: the same text for the same contents, read back as it was, and refused when it is none."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest

from nexus.manifest import format_lock, parse_lock, read_lock, write_lock
from nexus.model.diagnostics import DiagnosticsError
from nexus.model.lockfile import Closure, LockedEnvironment, LockedSet, Lockfile

SCHEMA = json.loads((Path(__file__).parents[2] / "schemas" / "nexus-lock.schema.json").read_text())
PIP = LockedSet(
    base="catalogue.python",
    requirements={"pip": ("pandas",)},
    closures={"pip": Closure(added={"pandas": "2.2", "tool": "@ https://files/tool.whl"}, base={"numpy": "2.1"})},
    environments=("default",),
)
NPM = LockedSet(
    base="catalogue.node",
    requirements={"apt": ("jq",), "npm": ("typescript",)},
    closures={
        "apt": Closure(added={"jq": "1.7-1"}),
        "npm": Closure(
            added={"typescript": "5.6.2"},
            files={
                "typescript": {"": {"dependencies": {"typescript": "^5"}}, "node_modules/typescript": {"dev": True}}
            },
        ),
    },
    environments=("default", "prod"),
)
LOCK = Lockfile(
    packages={"sandbox.web": (PIP,), "template.tools": (NPM,)},
    environments={"default": LockedEnvironment(uploads={"sandbox.web": {"/srv": "0" * 32}}, builds={"mine": "b1"})},
)


def test_what_was_written_is_read_as_it_was_and_follows_the_schema() -> None:
    text = format_lock(LOCK)
    assert parse_lock(text) == LOCK
    jsonschema.validate(json.loads(text), SCHEMA)


def test_equal_contents_have_one_text_whatever_order_they_were_found_in() -> None:
    shuffled = replace(
        LOCK,
        packages=dict(reversed(LOCK.packages.items())),
        environments={**LOCK.environments, "empty": LockedEnvironment()},
    )
    assert format_lock(shuffled) == format_lock(LOCK)


def test_one_other_version_is_one_other_line() -> None:
    newer = replace(PIP, closures={"pip": replace(PIP.closures["pip"], base={"numpy": "2.3"})})
    before, after = format_lock(LOCK), format_lock(replace(LOCK, packages={**LOCK.packages, "sandbox.web": (newer,)}))
    changed = set(after.splitlines()) ^ set(before.splitlines())
    assert {line.strip() for line in changed} == {'"numpy": "2.1"', '"numpy": "2.3"'}


def test_an_unchanged_lock_is_not_written_again(tmp_path: Path) -> None:
    assert write_lock(tmp_path, LOCK)
    before = (tmp_path / "nexus.lock").stat()
    assert not write_lock(tmp_path, LOCK)
    assert (tmp_path / "nexus.lock").stat().st_ino == before.st_ino
    assert read_lock(tmp_path) == LOCK
    assert [path.name for path in tmp_path.iterdir()] == ["nexus.lock"]


def test_a_project_without_one_has_none(tmp_path: Path) -> None:
    assert read_lock(tmp_path) is None


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("<<<<<<< ours\n{}\n", "lock-unreadable"),
        ("[]", "lock-unreadable"),
        ('{"version": 1, "packages": {"sandbox.web": [{"base": "x"}]}}', "lock-unreadable"),
        ('{"version": 2}', "lock-newer"),
    ],
)
def test_what_is_no_lock_file_is_refused_with_a_hint(text: str, code: str) -> None:
    with pytest.raises(DiagnosticsError) as refused:
        parse_lock(text)
    (problem,) = refused.value.diagnostics
    assert problem.code == code
    assert problem.hint


def test_other_environments_keep_what_they_ask_for() -> None:
    other = replace(PIP, requirements={"pip": ("polars",)})
    after = LOCK.with_sets("default", {"sandbox.web": [other]})
    assert after.find("sandbox.web", "catalogue.python", {"pip": ("pandas",)}) is None
    assert after.find("sandbox.web", "catalogue.python", {"pip": ("polars",)}) is not None
    (tools,) = after.packages["template.tools"]
    assert tools.environments == ("prod",)


def test_what_one_environment_resolves_anew_holds_for_all_that_ask_for_the_same() -> None:
    newer = replace(NPM, closures={**NPM.closures, "apt": Closure(added={"jq": "1.8"})})
    (tools,) = LOCK.with_sets("prod", {"template.tools": [newer]}).packages["template.tools"]
    assert tools.environments == ("default", "prod")
    assert tools.closures["apt"].added == {"jq": "1.8"}
