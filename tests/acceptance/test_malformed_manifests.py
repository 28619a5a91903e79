"""Whatever is wrong with a manifest: diagnostics, each with a place, and never an exception of another kind.

    NEXUS_MALFORMED=10000 pytest tests/acceptance/test_malformed_manifests.py

tries as many; the ordinary run a few hundred. `NEXUS_MALFORMED_SEED` chooses others.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from nexus.kinds.registry import KINDS
from nexus.model.diagnostics import Diagnostic, DiagnosticsError
from nexus.model.observation import Observation
from nexus.model.state import State, Target
from nexus.model.values import fingerprinter
from nexus.planning import PlanRequest, make_plan
from nexus.render.diagnostics import diagnostic_text
from nexus.workflows.loading import LoadRequest, load
from tests.acceptance.malforming import EXAMPLES, malformed
from tests.fakes.applier import NOW

COUNT = int(os.environ.get("NEXUS_MALFORMED", "400"))
SEED = int(os.environ.get("NEXUS_MALFORMED_SEED", "1"))


def told(folder: Path) -> tuple[Diagnostic, ...]:
    """All that is said on the way to a plan for an empty account."""
    project = load(LoadRequest(path=folder))
    request = PlanRequest(
        graph=project.desired,
        kinds=KINDS,
        state=State(lineage="lineage", project=project.name, target=Target("local")),
        observation=Observation(records={}, catalogue={}),
        files=project.files,
        fingerprint=fingerprinter(b"key of the state"),
        now=NOW,
        project=project.name,
        environment="default",
        target=Target("local"),
        variables=project.variables,
    )
    return (*project.diagnostics, *make_plan(request).plan.diagnostics)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Holds the files that any of the examples refers to."""
    for example in EXAMPLES.iterdir():
        shutil.copytree(example, tmp_path, dirs_exist_ok=True, ignore=shutil.ignore_patterns(".nexus"))
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
