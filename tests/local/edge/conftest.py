from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from nexus.local.edge import Ingress
from tests.local.envd.harness import Cloud, running_cloud


@pytest.fixture(scope="module")
def two_sandboxes() -> Iterator[Cloud]:
    with tempfile.TemporaryDirectory(prefix="edge-") as folder:
        Path(folder).chmod(0o755)
        with running_cloud(Path(folder), ("ibox", "iother")) as cloud:
            yield cloud


@pytest.fixture
def cloud(two_sandboxes: Cloud) -> Iterator[Cloud]:
    """Two running sandboxes; whatever a test does to the directory is undone."""
    directory = two_sandboxes.directory
    routes, signing = dict(directory.routes), dict(directory.signing)
    yield two_sandboxes
    directory.routes, directory.signing = routes, signing
    directory.changing.clear()
    two_sandboxes.set_ingress(Ingress())
