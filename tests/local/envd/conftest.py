from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from e2b import Sandbox

from tests.local.envd.harness import Cloud, running_cloud


@pytest.fixture(scope="module")
def cloud() -> Iterator[Cloud]:
    # A short path, because socket addresses are limited to 108 bytes.
    with tempfile.TemporaryDirectory(prefix="envd-") as folder:
        Path(folder).chmod(0o755)
        with running_cloud(Path(folder), env_vars={"FROM_SANDBOX": "sandbox", "BOTH": "sandbox"}) as cloud:
            yield cloud


@pytest.fixture
def sandbox(cloud: Cloud) -> Sandbox:
    return cloud.sandbox()
