from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from nexus.stores import Backend, Memory, local_backend
from tests.stores.conformance import BackendConformance


class TestMemory(BackendConformance):
    @pytest.fixture
    def reopen(self) -> Callable[[], Backend]:
        return Memory().backend


class TestLocal(BackendConformance):
    @pytest.fixture
    def reopen(self, tmp_path: Path) -> Callable[[], Backend]:
        return lambda: local_backend(tmp_path, "prod")
