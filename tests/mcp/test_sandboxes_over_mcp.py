"""Sandboxes of the local engine, made, used and ended by tools."""

from __future__ import annotations

import asyncio
import json
import shlex
import signal
import subprocess
import sys
from dataclasses import replace

import pytest

from nexus.local.daemon import Endpoint
from nexus.mcp.seat import Seat
from tests.mcp.conftest import Agent, Connect, eventually, text_of

pytestmark = pytest.mark.engine
CLIENT = {"clientInfo": {"name": "test", "version": "1"}}
SECRET = "s3cr3t-v4lue"
SCRIPT = """echo "ready with $TOKEN"
echo '${{ not.ours }}' > /opt/made
echo "${DEBUG}${EMPTY}" >> /opt/made
"""


async def make(agent: Agent, owner: str, **wish: object) -> str:
    made = await agent.document("sandbox_create", metadata={"owner": owner}, timeout=300, **wish)
    return made["sandbox_id"]


async def test_a_sandbox_lives_its_whole_life_by_tools(agent: Agent, owner: str) -> None:
    made = await agent.document(
        "sandbox_create",
        template="base",
        name="data analysis",
        timeout="5m",
        env_vars={"TOKEN": SECRET, "DEBUG": True, "EMPTY": "", "ANTHROPIC_API_KEY": "sk-1234"},
        startup_script=SCRIPT,
        metadata={"owner": owner, "note": "${{ x }}"},
    )
    sandbox = made["sandbox_id"]
    assert (made["name"], made["status"], made["timeout"]) == ("data analysis", "running", 300)
    assert (made["env_vars_configured"], made["anthropic_key_configured"]) == (4, True)
    assert made["metadata"] == {"owner": owner, "name": "data analysis", "note": "${{ x }}"}
    assert made["url"].startswith("http")
    assert "ready with (sensitive)" in agent.told

    await agent.document("sandbox_upload", sandbox_id=sandbox, file_path="notes/a.txt", content="hällo")
    ran = await agent.document(
        "sandbox_execute",
        sandbox_id=sandbox,
        code="import os; print(open('notes/a.txt').read(), os.environ['OWN'], len(os.environ['TOKEN']))",
        env_vars={"OWN": 1},
    )
    assert (ran["output"], ran["language"], ran["env_vars_used"]) == ("hällo 1 12\n", "python", 1)
    shell = await agent.document(
        "sandbox_execute", sandbox_id=sandbox, code="cat made", language="bash", working_dir="/opt"
    )
    assert shell["output"] == "${{ not.ours }}\ntrue\n"
    assert "hällo 1 12" in agent.told

    status = (await agent.document("sandbox_status", sandbox_id=sandbox))["sandbox"]
    assert (status["name"], status["executions"]["total"]) == ("data analysis", 2)
    assert "TOKEN" in status["environment"]["env_names"]
    listed = await agent.document("sandbox_list", status="running")
    assert sandbox in [item["id"] for item in listed["sandboxes"]]
    logs = await agent.document("sandbox_logs", sandbox_id=sandbox, lines=5)
    assert len(logs["logs"]) == 5

    stopped = await agent.document("sandbox_stop", sandbox_id=sandbox)
    assert (stopped["current_status"], stopped["data_preserved"]) == ("paused", True)
    assert await agent.code_of("sandbox_execute", sandbox_id=sandbox, code="1") == "SANDBOX_NOT_RUNNING"
    configured = await agent.document(
        "sandbox_configure",
        sandbox_id=sandbox,
        restart=True,
        env_vars={"LATER": SECRET},
        run_commands=["echo has $LATER; test -e /home/user/notes/a.txt"],
    )
    assert (configured["env_vars_updated"], configured["commands_executed"]) == (1, 1)
    assert "has (sensitive)" in agent.told

    deleted = await agent.document("sandbox_delete", sandbox_id=sandbox)
    assert deleted["sandbox_id"] == sandbox
    assert deleted["resources_cleaned"]["files_removed"] > 0
    assert await agent.code_of("sandbox_status", sandbox_id=sandbox) == "SANDBOX_NOT_FOUND"
    assert SECRET not in agent.told
    assert SECRET not in json.dumps([made, status, listed, configured])


async def test_output_is_told_while_the_code_runs(agent: Agent, owner: str) -> None:
    sandbox = await make(agent, owner)
    agent.progress.clear()
    running = asyncio.create_task(
        agent.call(
            "sandbox_execute",
            sandbox_id=sandbox,
            code="import os, time\nprint('begun', flush=True)\nwhile not os.path.exists('go'): time.sleep(0.05)",
        )
    )
    await agent.hears("begun")
    assert not running.done()
    await agent.document("sandbox_upload", sandbox_id=sandbox, file_path="go", content="")
    assert (await running).structured_content["success"]


async def test_a_cancelled_call_ends_what_it_runs(agent: Agent, owner: str) -> None:
    sandbox = await make(agent, owner)
    running = asyncio.create_task(
        agent.call("sandbox_execute", sandbox_id=sandbox, code="echo begun; sleep 1234", language="bash", timeout=None)
    )
    await agent.hears("begun")
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await eventually(lambda: none_sleeps(agent, sandbox))


@pytest.mark.parametrize("moment", ["creating from", "begun"])
async def test_a_sandbox_whose_making_is_cancelled_does_not_stay(moment: str, agent: Agent, owner: str) -> None:
    making = asyncio.create_task(make(agent, owner, startup_script="echo be''gun; sleep 1234"))
    await agent.hears(moment)
    making.cancel()
    with pytest.raises(asyncio.CancelledError):
        await making

    async def none_is_there() -> bool:
        listed = await agent.document("sandbox_list")
        return owner not in [item["metadata"].get("owner") for item in listed["sandboxes"]]

    await eventually(none_is_there)


async def test_a_server_that_is_asked_to_end_clears_up_first(agent: Agent, owner: str, live_seat: Seat) -> None:
    wish = {"startup_script": "echo be''gun; sleep 1234", "metadata": {"owner": owner}}
    messages = [
        {"id": 1, "method": "initialize", "params": {"protocolVersion": "2025-06-18", "capabilities": {}, **CLIENT}},
        {"method": "notifications/initialized"},
        {
            "id": 2,
            "method": "tools/call",
            "params": {"name": "sandbox_create", "arguments": wish, "_meta": {"progressToken": 1}},
        },
    ]
    server = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "nexus", "-C", str(live_seat.folder), "mcp", "--local"),
        env={**live_seat.process, "PATH": "/usr/bin:/bin"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert server.stdin is not None
    assert server.stdout is not None
    for message in messages:
        server.stdin.write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")
    async with asyncio.timeout(60):
        while b"begun" not in await server.stdout.readline():
            assert not server.stdout.at_eof()
        server.terminate()
        assert await server.wait() == 128 + signal.SIGTERM
    listed = await agent.document("sandbox_list")
    assert owner not in [item["metadata"].get("owner") for item in listed["sandboxes"]]


async def none_sleeps(agent: Agent, sandbox: str) -> bool:
    """Whether the long sleep has ended there."""
    code = "! grep -lsz '^1234$' /proc/[0-9]*/cmdline"
    return (await agent.document("sandbox_execute", sandbox_id=sandbox, code=code, language="bash"))["success"]


FAILURES = [
    ("print('before'); raise SystemExit(3)", "python", 20, "EXECUTION_ERROR", 3),
    ("echo before; sleep 60 & sleep 60", "bash", 4, "EXECUTION_TIMEOUT", 124),
    ("print('before'); raise MemoryError", "python", 20, "INSUFFICIENT_RESOURCES", 1),
    ("echo before; kill -9 $$", "bash", 20, "INSUFFICIENT_RESOURCES", 137),
    ("console.log('before'); throw new Error('ENOSPC: no space')", "javascript", 20, "INSUFFICIENT_RESOURCES", 1),
]


async def test_code_that_fails_is_an_error_with_its_output(agent: Agent, owner: str) -> None:
    sandbox = await make(agent, owner)
    for code, language, seconds, expected, exit_code in FAILURES:
        answer = await agent.call("sandbox_execute", sandbox_id=sandbox, code=code, language=language, timeout=seconds)
        document = answer.structured_content
        assert answer.is_error
        assert (document["code"], document["exit_code"]) == (expected, exit_code)
        assert document["output"] == "before\n"
        assert document["hint"]
        assert text_of(answer).startswith("before\n")
    unwanted = await agent.document("sandbox_execute", sandbox_id=sandbox, code="print(1)", capture_output=False)
    assert (unwanted["output"], unwanted["error"]) == ("", None)


async def test_what_can_not_be_made_leaves_nothing_behind(agent: Agent, owner: str) -> None:
    wish = {"metadata": {"owner": owner}, "env_vars": {"TOKEN": SECRET}}
    answer = await agent.call("sandbox_create", startup_script="echo it is $TOKEN; exit 7", **wish)
    assert answer.structured_content["code"] == "EXECUTION_ERROR"
    assert "startup_script failed with exit code 7" in text_of(answer)
    assert "it is (sensitive)" in text_of(answer)
    assert SECRET not in text_of(answer)
    missing = await agent.call("sandbox_create", template="no-such-template", **wish)
    assert missing.structured_content["diagnostics"][0]["code"] == "template-not-found"
    listed = await agent.document("sandbox_list")
    assert owner not in [item["metadata"].get("owner") for item in listed["sandboxes"]]


async def test_a_wrong_key_is_refused_as_such(engine: Endpoint, live_seat: Seat, connect: Connect) -> None:
    wrong = {"E2B_API_KEY": f"e2b_{'0' * 40}", "E2B_API_URL": engine.api_url, "E2B_SANDBOX_URL": engine.sandbox_url}
    async with connect(replace(live_seat, process=wrong, local=False)) as agent:
        for tool, arguments in (("sandbox_list", {}), ("sandbox_create", {"template": "base"})):
            assert await agent.code_of(tool, **arguments) == "PERMISSION_DENIED"


async def test_a_sandbox_made_by_a_tool_is_taken_over_by_a_project(agent: Agent, owner: str, live_seat: Seat) -> None:
    made = await agent.document(
        "sandbox_create", name="web-1", timeout=600, env_vars={"A": "b"}, metadata={"owner": owner, "x": "${{ y }}"}
    )
    blocks, _, _ = made["adoption"]["manifest"].partition("import:")
    manifest = live_seat.folder / "nexus.yaml"
    manifest.write_text(f"apiVersion: nexus/v1\nproject: {owner}\n{blocks}")
    assert (await agent.document("plan"))["summary"] == {"create": 1}, "the project does not know of it"

    program, *words = shlex.split(made["adoption"]["command"])
    assert program == "nexus"
    command = [sys.executable, "-m", "nexus", "-C", str(live_seat.folder), *words, "--local"]
    await asyncio.to_thread(
        subprocess.run, command, check=True, capture_output=True, env={**live_seat.process, "PATH": "/usr/bin:/bin"}
    )
    applied = await agent.document("apply", auto_approve=True)
    assert {change["action"] for change in applied["changes"]} <= {"update", "extend"}
    assert (await agent.document("plan"))["summary"] == {}
    status = (await agent.document("sandbox_status", sandbox_id="web-1"))["sandbox"]
    assert status["id"] == made["sandbox_id"]
    await agent.document("destroy", auto_approve=True)
    assert await agent.code_of("sandbox_status", sandbox_id=made["sandbox_id"]) == "SANDBOX_NOT_FOUND"
