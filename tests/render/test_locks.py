"""What became of the lock file, for people and for programs."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import jsonschema
from rich.console import Console

from nexus.model.diagnostics import warning
from nexus.model.lockfile import Closure, LockedSet, Lockfile
from nexus.render.locks import locked_to_json, print_locked

SCHEMA = json.loads((Path(__file__).parents[2] / "schemas" / "locked.schema.json").read_text())


def lock(**versions: str) -> Lockfile:
    npm = Closure(
        added={"typescript": "5.4.0"},
        files={"typescript": {"": {}, "node_modules/typescript": {}, "node_modules/path": {"version": "1.0.0"}}},
    )
    closures = {"pip": Closure(added=versions), "npm": npm}
    return Lockfile(packages={"sandbox.web": (LockedSet(base="base", requirements={}, closures=closures),)})


def test_versions_that_came_went_and_changed_are_listed_block_by_block() -> None:
    console = Console(file=io.StringIO(), width=80)
    print_locked(console, lock(colour="1.0", shade="1.0"), lock(colour="2.0", gloss="1.0"), written=True)
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue().splitlines() == [
        "sandbox.web",
        "  ~ pip colour 1.0 → 2.0",
        "  + pip gloss 1.0",
        "  - pip shade 1.0",
        "nexus.lock is written: 4 packages of 1 block.",
    ]


def test_the_document_says_the_same() -> None:
    note = warning("lock-uploads", "Files are not those that were locked")
    found: dict[str, Any] = locked_to_json(None, lock(colour="1.0"), [note], written=True)
    jsonschema.validate(found, SCHEMA)
    assert (found["blocks"], found["packages"]) == (1, 3)
    assert [(item["manager"], item["name"], item["before"], item["after"]) for item in found["changes"]] == [
        ("npm", "typescript", None, "5.4.0"),
        ("npm", "typescript / path", None, "1.0.0"),
        ("pip", "colour", None, "1.0"),
    ]
    same = locked_to_json(lock(), lock(), [], written=False)
    jsonschema.validate(same, SCHEMA)
    assert (same["written"], same["changes"]) == (False, [])
