"""An agent takes a sandbox out of a pool, works in it, and lets it go."""

from __future__ import annotations

import secrets

import pytest

from nexus.mcp.seat import Seat
from tests.mcp.conftest import Connect, text_of

pytestmark = pytest.mark.engine


async def test_an_agent_takes_a_sandbox_works_in_it_and_lets_it_go(live_seat: Seat, connect: Connect) -> None:
    manifest = f"project: t{secrets.token_hex(5)}\nsandboxes: {{agent: {{template: base, timeout: 5m, pool: 1}}}}\n"
    (live_seat.folder / "nexus.yaml").write_text(f"apiVersion: nexus/v1\n{manifest}")
    async with connect(live_seat) as agent:
        try:
            await agent.document("apply", auto_approve=True)
            taken = await agent.document("pool_take", pool="agent", timeout=120, purpose="a sum")
            ran = await agent.document("sandbox_execute", sandbox_id=taken["sandbox_id"], code="print(3 + 4)")
            assert ran["output"] == "7\n"
            (pool,) = (await agent.document("pool_list"))["pools"]
            assert (pool["ready"], [item["taken"]["purpose"] for item in pool["taken"]]) == (0, ["a sum"])
            empty = await agent.call("pool_take", pool="agent")
            assert empty.is_error
            assert "pool-empty" in text_of(empty)
            ended = await agent.document("pool_release", sandbox_id=taken["sandbox_id"])
            assert ended["address"] == taken["address"]
            assert (await agent.document("pool_list"))["pools"][0]["taken"] == []
        finally:
            await agent.document("destroy", auto_approve=True)
