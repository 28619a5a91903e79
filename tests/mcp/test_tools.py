"""What the tools say of themselves, and what a call gets that can't be made."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest
from mcp.shared.exceptions import MCPError

from nexus.mcp.progress import Progress
from nexus.mcp.results import answer_schema, clipped
from nexus.mcp.seat import Seat
from nexus.mcp.server import TOOLS, make_server, offered
from nexus.mcp.serving import Calls
from nexus.mcp.tools import Effect
from tests.mcp.conftest import Agent, Connect, held, text_of

DOCUMENTED = {
    "sandbox_create": {
        "template",
        "name",
        "timeout",
        "env_vars",
        "install_packages",
        "startup_script",
        "metadata",
    },
    "sandbox_execute": {"sandbox_id", "code", "language", "timeout", "capture_output", "working_dir"},
    "sandbox_list": {"status", "template", "limit", "sort_by", "order"},
    "sandbox_status": {"sandbox_id"},
    "sandbox_configure": {"sandbox_id", "env_vars", "install_packages", "run_commands", "restart"},
    "sandbox_upload": {"sandbox_id", "file_path", "content"},
    "sandbox_logs": {"sandbox_id", "lines", "include_timestamps", "log_level"},
    "sandbox_stop": {"sandbox_id"},
    "sandbox_delete": {"sandbox_id"},
}
OWN = {"validate", "plan", "apply", "promote", "destroy", "drift", "run", "output"} | {
    "pool_list",
    "pool_release",
    "pool_take",
    "runs",
    "runs_show",
}
INFO = {"name": "test", "version": "1"}
MANIFEST = """\
apiVersion: nexus/v1
project: p
variables: {size: {type: integer, default: 1}}
sandboxes:
  web: {template: base, count: "${{ vars.size }}"}
"""


class TestListing:
    def test_all_tools_are_there_with_the_published_names_of_what_they_take(self) -> None:
        taken = {tool.name: set(tool.input_schema()["properties"]) for tool in TOOLS}
        assert taken.keys() == DOCUMENTED.keys() | OWN
        for name, arguments in DOCUMENTED.items():
            assert arguments <= taken[name]

    @pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.name)
    def test_schemas_are_whole_and_of_objects(self, tool) -> None:
        listed = tool.listed()
        for schema in (listed.input_schema, listed.output_schema):
            jsonschema.Draft202012Validator.check_schema(schema)
            assert schema["type"] == "object"
            assert "$schema" not in json.dumps(schema)
            for reference in references(schema):
                assert reference.removeprefix("#/$defs/") in schema["$defs"]

    @pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.name)
    def test_hints_tell_what_a_tool_does_to_the_world(self, tool) -> None:
        hints = tool.listed().annotations
        assert hints.read_only_hint is (tool.name in READING)
        assert hints.destructive_hint is (tool.name in DESTRUCTIVE)
        assert None not in (hints.idempotent_hint, hints.open_world_hint)
        assert hints.title

    async def test_a_server_that_may_only_read_offers_nothing_else(self, seat: Seat, connect: Connect) -> None:
        async with connect(seat, read_only=True) as agent:
            names = {tool.name for tool in (await agent.client.list_tools()).tools}
            assert names == READING
            with pytest.raises(MCPError, match="There is no tool apply"):
                await agent.client.call_tool("apply", {"auto_approve": True})


READING = {"sandbox_list", "sandbox_status", "sandbox_logs", "validate", "plan", "drift", "output"} | {
    "runs",
    "runs_show",
    "pool_list",
}
DESTRUCTIVE = {
    "sandbox_execute",
    "sandbox_configure",
    "sandbox_upload",
    "pool_release",
    "sandbox_delete",
    "apply",
    "promote",
    "destroy",
    "run",
}


def references(schema: object) -> list[str]:
    match schema:
        case dict():
            own = [schema["$ref"]] if isinstance(schema.get("$ref"), str) else []
            return [*own, *(item for value in schema.values() for item in references(value))]
        case list():
            return [item for value in schema for item in references(value)]
        case _:
            return []


class TestMistakes:
    @pytest.fixture
    async def clerk(self, seat: Seat, connect: Connect):
        async with held(connect(seat)) as agent:
            yield agent

    async def test_every_wrong_argument_is_named_and_no_value_is_repeated(self, clerk: Agent) -> None:
        answer = await clerk.call("sandbox_create", timeout="soon-s3cret", env_vars={"A": ["s3cret"]}, colour="red")
        text = text_of(answer)
        assert answer.is_error
        for said in (
            "timeout: ",
            "env_vars.A: ",
            "colour: there is no such argument",
            "sandbox_create takes: template",
        ):
            assert said in text
        assert "['s3cret']" not in text

    async def test_a_missing_argument_is_an_error_that_a_model_can_mend(self, clerk: Agent) -> None:
        answer = await clerk.call("sandbox_execute", sandbox_id="x")
        assert "code: it has to be given" in text_of(answer)
        assert answer.structured_content["diagnostics"][0]["code"] == "invalid-arguments"

    async def test_an_address_that_is_none_is_refused_before_anything_is_looked_at(self, clerk: Agent) -> None:
        answer = await clerk.call("plan", targets=["web"])
        assert "'web' is not an address such as sandbox.web" in text_of(answer)

    async def test_there_is_nothing_to_plan_without_a_project(self, clerk: Agent) -> None:
        answer = await clerk.call("plan")
        assert answer.is_error
        assert answer.structured_content["diagnostics"][0]["code"] == "no-project"

    async def test_what_is_no_base64_is_not_uploaded(self, clerk: Agent) -> None:
        answer = await clerk.call("sandbox_upload", sandbox_id="x", file_path="a", content="%", encoding="base64")
        assert "content is not base64" in text_of(answer)

    async def test_configuring_nothing_is_a_mistake(self, clerk: Agent) -> None:
        assert "There is nothing to configure" in text_of(await clerk.call("sandbox_configure", sandbox_id="x"))

    async def test_a_bug_is_told_without_its_traceback_and_logged(self, seat: Seat, monkeypatch) -> None:
        from mcp import Client

        def broken(call, arguments):
            raise RuntimeError("s3cret")

        logged: list[Exception] = []
        tool = replace(next(tool for tool in TOOLS if tool.name == "validate"), run=broken)
        async with Client(make_server(seat, [tool], logged.append, Calls().carry), mode="legacy") as client:
            answer = await client.call_tool("validate", {})
        assert answer.is_error
        assert "This is a bug in nexus (RuntimeError)" in text_of(answer)
        assert "s3cret" not in json.dumps(answer.structured_content) + text_of(answer)
        assert [str(item) for item in logged] == ["s3cret"]


class TestWithoutTarget:
    async def test_a_manifest_is_validated_with_the_values_given(self, seat: Seat, connect: Connect) -> None:
        (seat.folder / "nexus.yaml").write_text(MANIFEST)
        async with connect(seat) as agent:
            good = await agent.call("validate", variables={"size": 3})
            assert (good.structured_content["valid"], text_of(good)) == (True, "The manifest is valid: 4 resources.")
            bad = await agent.call("validate", variables='{"size": "many"}')  # as some clients write mappings
            assert bad.structured_content["valid"] is False
            assert "error[invalid-variable]" in text_of(bad)

    async def test_errors_show_the_line_that_they_speak_of(self, seat: Seat, connect: Connect) -> None:
        (seat.folder / "nexus.yaml").write_text(MANIFEST.replace("template:", "templat:"))
        async with connect(seat) as agent:
            assert " 5 |   web: {templat: base" in text_of(await agent.call("validate"))

    async def test_there_are_no_outputs_before_the_first_apply(self, seat: Seat, connect: Connect) -> None:
        (seat.folder / "nexus.yaml").write_text(MANIFEST)
        async with connect(seat) as agent:
            answer = await agent.call("output")
            assert (answer.structured_content, text_of(answer)) == ({}, "There are no outputs.")
            assert "There is no output «url»" in text_of(await agent.call("output", name="url"))


class TestProgress:
    async def test_it_grows_with_every_notification_and_the_last_one_comes_before_the_end(self) -> None:
        sent: asyncio.Queue[tuple[float, float | None, str | None]] = asyncio.Queue()

        async def send(*told: object) -> None:
            sent.put_nowait(told)

        async with Progress(send) as progress:
            progress.say("planning")
            assert await sent.get() == (0.001, None, "planning")
            progress.expect(2)
            progress.say("begun")
            assert await sent.get() == (0.002, 2, "begun")
            progress.advance()
            progress.write("part of a line, ")
            progress.write("and its end\n")
            assert await sent.get() == (1, 2, "part of a line, and its end")
            progress.advance()
            progress.say("done")
        assert sent.get_nowait() == (2, 2, "done")
        assert sent.empty()

    def test_only_the_end_of_what_nobody_could_read_is_answered(self) -> None:
        assert clipped("x" * 1_000_000) == "x" * 1_000_000
        long = clipped("a" * 5 + "b" * 1_000_000)
        assert long.startswith("[5 characters before this were left out]\n")
        assert long.endswith("b" * 1_000_000)

    def test_the_schema_of_an_answer_takes_a_document_or_a_failure_and_nothing_else(self) -> None:
        schema = answer_schema("validate")
        jsonschema.validate({"format_version": 1, "valid": True, "diagnostics": []}, schema)
        failure = {"format_version": 1, "success": False, "code": None, "error": "no", "diagnostics": []}
        jsonschema.validate(failure, schema)
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({"format_version": 1, "valid": True}, schema)


def test_effects_are_told_apart() -> None:
    assert len(Effect) == 5
    assert offered(read_only=False) == TOOLS


def test_nothing_but_the_protocol_is_written_to_stdout(tmp_path: Path) -> None:
    """Over real pipes, as clients start it; an error of the manifest and a mistake of the client in between."""
    messages = [
        {"method": "initialize", "params": {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": INFO}},
        {"method": "notifications/initialized"},
        {"method": "tools/call", "params": {"name": "validate", "arguments": {}}},
        {"method": "tools/call", "params": {"name": "nothing", "arguments": {}}},
        {"method": "tools/list"},
    ]
    (tmp_path / "nexus.yaml").write_text("apiVersion: [\n")
    server = subprocess.Popen(
        [sys.executable, "-m", "nexus", "mcp", "--local"],
        cwd=tmp_path,
        env={**os.environ, "NEXUS_HOME": str(tmp_path / "home")},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    answers = {}
    with server:
        assert server.stdin is not None
        assert server.stdout is not None
        for number, message in enumerate(messages):
            numbered = {} if message["method"].startswith("notifications/") else {"id": number}
            server.stdin.write(json.dumps({"jsonrpc": "2.0", **numbered, **message}) + "\n")
            server.stdin.flush()
            if numbered:
                answer = json.loads(server.stdout.readline())
                answers[answer["id"]] = answer
        server.stdin.close()
        assert server.stdout.read() == ""
        assert server.wait(timeout=60) == 0
    assert answers[0]["result"]["serverInfo"]["name"] == "nexus"
    assert "error[yaml-syntax]" in answers[2]["result"]["content"][0]["text"]
    assert "There is no tool nothing" in answers[3]["error"]["message"]
    assert len(answers[4]["result"]["tools"]) == len(TOOLS)
