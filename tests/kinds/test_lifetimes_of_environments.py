"""An environment with a time to live bounds that of its sandboxes."""

from __future__ import annotations

from nexus.kinds.base import Normalising
from nexus.kinds.registry import KINDS
from nexus.model.addresses import Address
from nexus.model.diagnostics import Diagnostics
from nexus.model.resources import ResourceSpec
from nexus.model.values import UNKNOWN
from tests.fakes.manifests import MemoryFiles


def test_no_sandbox_lives_longer_than_its_environment() -> None:
    context = Normalising(
        spec=ResourceSpec(address=Address.parse("sandbox.web"), attributes={}),
        files=MemoryFiles(),
        project="shop",
        environment="preview",
        diagnostics=Diagnostics(),
        longest_life=600,
    )
    lives = [KINDS["sandbox"].normalise({"timeout": timeout}, context)["timeout"] for timeout in ("1h", "5m", UNKNOWN)]
    assert lives == [600, 300, UNKNOWN]
