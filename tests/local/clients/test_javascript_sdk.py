"""Programs with E2B's JavaScript SDK run against the engine as they are."""

from __future__ import annotations

import pytest

from tests.local.clients.conftest import Run


@pytest.mark.engine
@pytest.mark.parametrize("program", ["sandboxes", "inside", "ports", "stores"])
def test_a_program_with_the_javascript_sdk(javascript: Run, program: str) -> None:
    done = javascript([f"{program}.mjs"])
    assert done.returncode == 0, done.stdout + done.stderr
