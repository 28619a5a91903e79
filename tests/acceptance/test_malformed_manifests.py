"""Whatever is wrong with a manifest: diagnostics, each with a place, and never an exception of another kind.

    NEXUS_MALFORMED=10000 pytest tests/acceptance/test_malformed_manifests.py

tries as many; the ordinary run a few hundred. `NEXUS_MALFORMED_SEED` chooses others.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from nexus.model.diagnostics import Diagnostic, DiagnosticsError
from nexus.render.diagnostics import diagnostic_text
from tests.acceptance.empty_account import first_plan
from tests.acceptance.malforming import EXAMPLES, malformed

COUNT = int(os.environ.get("NEXUS_MALFORMED", "400"))
SEED = int(os.environ.get("NEXUS_MALFORMED_SEED", "1"))


def told(folder: Path) -> tuple[Diagnostic, ...]:
    """All that is said on the way to a plan for an empty account."""
    plan, diagnostics = first_plan(folder)
    return (*diagnostics, *plan.diagnostics)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Holds the files that any of the examples refers to."""
    for manifest in EXAMPLES.glob("*/nexus.yaml"):
        shutil.copytree(manifest.parent, tmp_path, dirs_exist_ok=True, ignore=shutil.ignore_patterns(".nexus"))
    return tmp_path


def test_malformed_manifests_are_explained_with_a_place(folder: Path) -> None:
    refused = 0
    for number, text in enumerate(malformed(COUNT, SEED)):
        (folder / "nexus.yaml").write_text(text)
        try:
            found = told(folder)
        except DiagnosticsError as failed:
            found = failed.diagnostics
            refused += 1
        except Exception as failed:
            pytest.fail(f"manifest {number} of seed {SEED} ended in {failed!r}:\n{text[:4000]}")
        lines = {"nexus.yaml": text.splitlines()}
        for item in found:
            assert item.range is not None, f"manifest {number} of seed {SEED}: no place for {item}\n{text[:4000]}"
            assert item.summary in diagnostic_text(item, lines.get).plain
    assert refused > COUNT / 2
