"""A project planned, approved, applied, run and destroyed by tools, on the local engine."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator

import pytest
from mcp.types import ElicitResult

from nexus.mcp.seat import Seat
from tests.mcp.conftest import Agent, Connect, eventually, text_of

pytestmark = pytest.mark.engine

MANIFEST = """\
apiVersion: nexus/v1
project: {project}
sandboxes:
  web: {{template: base, timeout: 5m}}
pipelines:
  checks:
    steps:
      hello: {{sandbox: web, run: "echo hello from a step", on: manual}}
outputs:
  id: {{value: "${{{{ sandbox.web.id }}}}"}}
"""


def answering(answer: bool | None) -> ElicitResult:
    """What a person answers: yes, no, or nothing at all."""
    if answer is None:
        return ElicitResult(action="cancel")
    return ElicitResult(action="accept", content={"approve": answer})


@pytest.fixture
async def project(live_seat: Seat, connect: Connect) -> AsyncIterator[str]:
    """The name of a project in the seat's folder; what it made is destroyed at the end."""
    name = f"t{secrets.token_hex(5)}"
    (live_seat.folder / "nexus.yaml").write_text(MANIFEST.format(project=name))
    yield name
    async with connect(live_seat) as agent:
        await agent.document("destroy", auto_approve=True)


async def test_the_trip_of_a_project(project: str, agent: Agent) -> None:
    unapproved = await agent.call("apply")
    assert not unapproved.is_error
    assert (unapproved.structured_content["approved"], unapproved.structured_content["success"]) == (False, False)
    assert "auto_approve: true" in unapproved.structured_content["hint"]
    assert "+ sandbox.web  create" in text_of(unapproved)
    assert (await agent.document("plan"))["summary"]["create"] >= 1, "nothing was done"

    agent.progress.clear()
    applied = await agent.document("apply", auto_approve=True)
    assert applied["success"]
    assert applied["run_id"]
    assert {change["outcome"] for change in applied["changes"]} <= {"succeeded", "unchanged"}
    values = [done for done, _, _ in agent.progress]
    assert values == sorted(set(values))
    done, total, _ = agent.progress[-1]
    assert total is not None
    assert done >= total >= 2
    assert "✓ sandbox.web: created" in agent.told

    outputs = await agent.document("output")
    assert outputs == applied["outputs"]
    assert (await agent.document("drift"))["drifted"] is False
    ran = await agent.document("run", pipeline="checks", auto_approve=True)
    assert {"address": "step.checks.hello", "outcome": "succeeded"}.items() <= ran["changes"][-1].items()
    assert "hello from a step" in agent.told
    kept = (await agent.document("runs", limit=2))["runs"]
    assert [(item["command"], item["status"]) for item in kept] == [
        ("run checks hello", "succeeded"),
        ("apply", "succeeded"),
    ]
    assert kept[0]["id"] == ran["run_id"]
    shown = await agent.call("runs_show", step="hello")
    assert (shown.structured_content["id"], shown.structured_content["log"]) == (ran["run_id"], "hello from a step\n")
    assert [step["address"] for step in shown.structured_content["steps"]] == ["step.checks.hello"]
    assert "What hello wrote:\nhello from a step" in text_of(shown)
    assert (await agent.document("runs_show", run_id=applied["run_id"]))["command"] == "apply"
    assert "There is no run «nope»" in text_of(await agent.call("runs_show", run_id="nope"))
    by_name = await agent.document("sandbox_execute", sandbox_id="web", code="print(1)")
    assert (by_name["sandbox_id"], by_name["address"]) == (outputs["id"]["value"], "sandbox.web")
    destroyed = await agent.document("destroy", auto_approve=True)
    assert destroyed["summary"]["delete"] == 1
    assert (await agent.document("output")) == {}


@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_the_person_at_the_client_decides(mode: str, project: str, live_seat: Seat, connect: Connect) -> None:
    asked: list[str] = []
    answers: list[bool | None] = [None, False, True]

    async def elicit(question: str) -> ElicitResult:
        asked.append(question)
        return answering(answers.pop(0))

    async with connect(live_seat, mode=mode, elicit=elicit) as agent:
        for _ in range(2):
            refused = await agent.document("apply")
            assert (refused["approved"], refused["diagnostics"][-1]["code"]) == (False, "not-approved")
        applied = await agent.document("apply")
        assert (applied["approved"], applied["success"]) == (True, True)
        assert len(asked) == 3
        assert "+ sandbox.web  create" in asked[0]
        assert asked[0].endswith("Do this?")
        assert (await agent.document("apply"))["summary"] == {}, "and nobody is asked where there is nothing to do"


@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_what_has_changed_since_it_was_asked_is_not_done(
    mode: str, project: str, live_seat: Seat, agent: Agent, connect: Connect
) -> None:
    await agent.document("apply", auto_approve=True)
    web = (await agent.document("output"))["id"]["value"]
    asked: list[str] = []

    async def elicit(question: str) -> ElicitResult:
        asked.append(question)
        if len(asked) == 1:
            await agent.document("sandbox_delete", sandbox_id=web)
        return answering(True)

    async with connect(live_seat, mode=mode, elicit=elicit) as person:
        answer = await person.call("run", pipeline="checks")
    if mode == "legacy":
        assert answer.is_error
        assert answer.structured_content["diagnostics"][0]["code"] == "plan-stale"
    else:  # the question is put together anew with each call, so that the other plan is asked about
        assert len(asked) == 2
        assert asked[0] != asked[1]
        assert answer.structured_content["success"]


async def test_a_cancelled_apply_is_on_record_and_the_next_one_continues(
    project: str, live_seat: Seat, agent: Agent
) -> None:
    manifest = live_seat.folder / "nexus.yaml"
    waiting = '[touch /opt/first, "while [ ! -e /opt/go ]; do sleep 0.05; done", touch /opt/third]'
    manifest.write_text(manifest.read_text().replace("timeout: 5m", f"timeout: 5m, run_commands: {waiting}"))
    applying = asyncio.create_task(agent.call("apply", auto_approve=True))
    await agent.hears("running run_commands[1]")
    applying.cancel()
    with pytest.raises(asyncio.CancelledError):
        await applying
    listed = await agent.document("sandbox_list")
    (web,) = [item["id"] for item in listed["sandboxes"] if item["project"] == project]
    await agent.document("sandbox_execute", sandbox_id=web, code="ls /opt", language="bash")
    await agent.document("sandbox_configure", sandbox_id=web, run_commands=["touch /opt/go"])

    async def applied() -> bool:  # the lock is held until the first has ended
        return not (await agent.call("apply", auto_approve=True)).is_error

    await eventually(applied)
    assert (await agent.document("output"))["id"]["value"] == web
    ran = await agent.document("sandbox_execute", sandbox_id=web, code="ls /opt", language="bash")
    assert {"first", "go", "third"} <= set(ran["output"].split())


async def test_what_policies_deny_is_shown_and_not_even_asked_about(
    project: str, live_seat: Seat, connect: Connect
) -> None:
    denied = MANIFEST.format(project=project) + "policies: {closed: {use: no-internet}}\n"
    (live_seat.folder / "nexus.yaml").write_text(denied)

    async def unexpected(message: str) -> ElicitResult:
        pytest.fail(f"nobody is to be asked: {message}")

    async with connect(live_seat, elicit=unexpected) as agent:
        plan = await agent.document("plan")
        assert plan["denied"]
        assert [item["code"] for item in plan["diagnostics"]] == ["policy-denied"]
        for arguments in ({}, {"auto_approve": True}):
            refused = await agent.call("apply", **arguments)
            assert refused.is_error
            assert "policy-denied" in text_of(refused)
    (live_seat.folder / "nexus.yaml").write_text(MANIFEST.format(project=project))
