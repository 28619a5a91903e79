"""The protocol's official inspector, as somebody uses it who sets a client up. Its installation is large."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from nexus.local.daemon import Endpoint
from nexus.mcp.server import TOOLS
from tests.npm import installed

pytestmark = [pytest.mark.engine, pytest.mark.catalogue]


@pytest.fixture(scope="module")
def packages() -> Path:
    return installed(Path(__file__).parent / "inspector")


class Inspector:
    def __init__(self, packages: Path, folder: Path, engine: Endpoint) -> None:
        self._program = packages / "node_modules" / ".bin" / "mcp-inspector"
        self._folder = folder
        self._environment = {**os.environ, "NEXUS_HOME": str(engine.home)}

    def __call__(self, *words: str) -> dict[str, Any]:
        server = [sys.executable, "-m", "nexus", "-C", str(self._folder), "mcp", "--local"]
        ran = subprocess.run(
            [self._program, "--cli", *server, "--method", *words],
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert ran.stdout, ran.stderr
        return json.loads(ran.stdout)

    def call(self, tool: str, **arguments: object) -> dict[str, Any]:
        """Call a tool. The inspector holds its answer against the tool's schema."""
        texts = [
            f"{name}={value if isinstance(value, str) else json.dumps(value)}" for name, value in arguments.items()
        ]
        return self("tools/call", "--tool-name", tool, *(["--tool-arg", *texts] if texts else []))


def test_the_inspector_lists_and_calls_every_tool(packages: Path, tmp_path: Path, engine: Endpoint) -> None:
    name = f"t{secrets.token_hex(5)}"
    (tmp_path / "nexus.yaml").write_text(
        f"apiVersion: nexus/v1\nproject: {name}\nenvironments: {{dev: {{}}}}\n"
        "sandboxes: {web: {template: base, timeout: 10m}, agent: {pool: 1, timeout: 10m}}\n"
        "pipelines: {checks: {steps: {hello: {sandbox: web, run: echo hello, on: manual}}}}\n"
    )
    inspect = Inspector(packages, tmp_path, engine)
    listed = {tool["name"]: tool for tool in inspect("tools/list")["tools"]}
    assert listed.keys() == {tool.name for tool in TOOLS}
    assert listed["destroy"]["annotations"]["destructiveHint"] is True

    made = inspect.call("sandbox_create", template="base", name=name, timeout=300, env_vars={"KEY": "value"})
    sandbox = made["structuredContent"]["sandbox_id"]
    meant = {"sandbox_id": sandbox}
    calls: dict[str, dict[str, object]] = {
        "sandbox_execute": {**meant, "code": "print(6 * 7)", "language": "python"},
        "sandbox_list": {},
        "sandbox_status": meant,
        "sandbox_configure": {**meant, "run_commands": ["true"]},
        "sandbox_upload": {**meant, "file_path": "a.txt", "content": "hello"},
        "sandbox_logs": {**meant, "lines": 5},
        "sandbox_stop": meant,
        "sandbox_delete": meant,
        "validate": {},
        "plan": {},
        "apply": {"auto_approve": True},
        "promote": {"source": "dev", "auto_approve": True},
        "drift": {},
        "run": {"pipeline": "checks", "auto_approve": True},
        "output": {},
        "runs": {},
        "runs_show": {"step": "hello"},
        "pool_list": {},
        "pool_take": {"pool": "agent"},
        "pool_release": {},
        "destroy": {"auto_approve": True},
    }
    assert calls.keys() | {"sandbox_create"} == listed.keys()
    for tool, arguments in calls.items():
        answer = inspect.call(tool, **arguments)
        assert not answer.get("isError"), answer["content"][0]["text"]
        if tool == "pool_take":
            calls["pool_release"]["sandbox_id"] = answer["structuredContent"]["sandbox_id"]
    gone = inspect.call("sandbox_execute", sandbox_id=sandbox, code="1")
    assert gone["isError"] is True
    assert gone["structuredContent"]["code"] == "SANDBOX_NOT_FOUND"
