from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.fakes.clock import ManualClock


@pytest.fixture
async def clock() -> AsyncIterator[ManualClock]:
    """Time that jumps whenever everyone waits for it."""
    manual = ManualClock()
    running = asyncio.create_task(manual.run())
    yield manual
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
