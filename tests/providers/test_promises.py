"""Both providers keep the promises of the protocol: the one over the SDK, and the fake of the executor's tests."""

from __future__ import annotations

import pytest

from nexus.model.addresses import Address
from tests.contracts.provider_suite import Make, ProviderSuite
from tests.fakes.clock import ManualClock
from tests.fakes.cloud import FakeCloud, FakeProvider
from tests.providers.subject import Subject


@pytest.mark.engine
class TestE2BOnTheLocalEngine(ProviderSuite):
    """``provider`` and ``make`` are those of this folder."""


class TestFake(ProviderSuite):
    @pytest.fixture
    def provider(self) -> FakeProvider:
        return FakeProvider(FakeCloud(), ManualClock(), seconds=0)

    @pytest.fixture
    def make(self, provider: FakeProvider) -> Make:
        return lambda address: Subject(provider, Address.parse(address))
