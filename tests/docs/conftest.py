"""What readers of the pages have installed."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.terminal import offer_nexus
from tests.docs.warm import warm_nexus


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder for PATH with ``nexus``, ``python`` and ``pytest``."""
    cold = offer_nexus(tmp_path_factory.mktemp("programs"))
    with tempfile.TemporaryDirectory() as sockets, warm_nexus(cold, Path(sockets)) as folder:
        yield folder
