"""Everything that one does with sandboxes, row by row: one project on an engine, its commands, and what they answer."""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import jsonschema
import pytest
from mcp import Client, StdioServerParameters, stdio_client

from nexus.local.daemon import Endpoint
from tests.lifecycle.scenario import Scenario

T = TypeVar("T")

pytestmark = [pytest.mark.engine, pytest.mark.slow]

ROOT = Path(__file__).parents[2]
SECRET = "a-key-that-nobody-may-read"
MAIN = "data-analysis-env"

MANIFEST = """
secrets:
  API_KEY: {env: API_KEY}

templates:
  of-our-own:
    base_template: base
    env_vars: {WANDB_PROJECT: research}
    startup_script: |
      mkdir -p /opt/warm
      echo "research environment ready" > /opt/warm/said

sandboxes:
  data-analysis-env:
    template: base
    timeout: 1800
    env_vars: {API_KEY: "${{ secrets.API_KEY }}", DEBUG: "true", DATABASE_URL: "postgresql://localhost/appdb"}
    packages: ["pip:six", "npm:is-number"]
    uploads:
      - {path: /app/config.json, content: '{"api": {"version": "v1"}}'}
      - {path: /app/server.js, content: "console.log('Hello World!')"}
    startup_script: echo "Development environment ready" > /app/said
    start_command: python3 -m http.server 3000 --directory /app
    ready: {port: 3000}
    ports: {web: 3000}
    metadata: {project: web-app, team: frontend}
    alerts: {cpu: 100, memory: 1}

  worker:
    template: ${{ template.of-our-own }}
    timeout: 30m
    on_timeout: pause

pipelines:
  etl:
    steps:
      extract:
        sandbox: data-analysis-env
        run: echo "Data extracted" | tee /home/user/rows
        outputs: {rows: /home/user/rows}
      process:
        sandbox: worker
        inputs: {/home/user/rows: "${{ step.etl.extract.outputs.rows }}"}
        run: |
          echo x >> /home/user/tries
          test $(wc -l < /home/user/tries) -ge 2      # the first try fails
          sed s/extracted/processed/ /home/user/rows
        retries: 1
        timeout: 1m

outputs:
  web: {value: "${{ sandbox.data-analysis-env.urls.web }}"}
"""


class Walk:
    """The applied project, and what its commands say."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario

    def ok(self, *arguments: str, schema: str | None = None) -> Any:
        """The document of a command that does its work."""
        document = self.scenario.run(*as_json(arguments)).expect(0).json
        return document if schema is None else checked(document, schema)

    def text(self, *arguments: str) -> str:
        return self.scenario.run(*arguments).expect(0).stdout

    def exec(self, *arguments: str, code: int = 0) -> Any:
        return checked(self.scenario.run("exec", "--json", *arguments).expect(code).json, "exec")

    def status(self, sandbox: str) -> dict[str, Any]:
        found: dict[str, Any] = self.ok("status", sandbox, schema="status")["sandbox"]
        return found

    def fails(self, *arguments: str, **environment: str) -> str:
        """The published code of a command that can't do its work; its text has a hint and no traceback."""
        failed = self.scenario.run(*as_json(arguments), **environment).expect(1, 124)
        assert "Traceback" not in failed.text
        code: str = failed.json["code"]
        return code


def as_json(arguments: Sequence[str]) -> tuple[str, ...]:
    """The same command, asked for JSON: what stands after -- is not for nexus."""
    words = list(arguments)
    words.insert(words.index("--") if "--" in words else len(words), "--json")
    return tuple(words)


def checked(document: Any, schema: str) -> Any:
    jsonschema.validate(document, json.loads((ROOT / "schemas" / f"{schema}.schema.json").read_text()))
    assert SECRET not in json.dumps(document)
    return document


def has(document: dict[str, Any], names: str) -> None:
    assert set(names.split()) <= document.keys()


def seconds_between(earlier: str, later: str) -> float:
    return (datetime.fromisoformat(later) - datetime.fromisoformat(earlier)).total_seconds()


def until(look: Callable[[], T], is_good: Callable[[T], bool]) -> T:
    """Look again and again until what is seen is good."""
    deadline = time.monotonic() + 60
    while not is_good(seen := look()):
        assert time.monotonic() < deadline, seen
        time.sleep(0.05)
    return seen


@pytest.fixture(scope="module")
def walk(engine: Endpoint, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Walk]:
    scenario = Scenario(tmp_path_factory.mktemp("project"), engine, {"API_KEY": SECRET})
    scenario.write(MANIFEST)
    try:
        scenario.apply().expect(0)
        scenario.expect_no_changes()
        yield Walk(scenario)
    finally:
        scenario.clean_up()


def test_a_sandbox_is_created_with_all_that_was_asked_for(walk: Walk) -> None:
    found = walk.status(MAIN)
    assert (found["name"], found["status"], found["template"]) == (MAIN, "running", "nexus-base")
    assert found["metadata"] == {"project": "web-app", "team": "frontend"}
    assert 1700 < seconds_between(found["created_at"], found["expires_at"]) < 1900
    assert {"API_KEY", "DEBUG", "DATABASE_URL"} <= set(found["environment"]["env_names"])
    inside = walk.scenario.inside("sandbox.data-analysis-env", "cat /app/said; echo $DEBUG; echo ${#API_KEY}")
    assert inside == f"Development environment ready\ntrue\n{len(SECRET)}"
    assert walk.ok("output")["web"]["value"].startswith("http")


def test_packages_of_two_languages_stand_in_one_list(walk: Walk) -> None:
    assert walk.exec(MAIN, "--language", "python", "--code", "import six; print('six')")["output"] == "six\n"
    required = walk.exec(MAIN, "--language", "javascript", "--code", "console.log(require('is-number')(5))")
    assert required["output"] == "true\n"


def test_a_template_of_ones_own_is_warm_and_keeps_its_variables(walk: Walk) -> None:
    inside = walk.exec("worker", "--", "cat /opt/warm/said && echo $WANDB_PROJECT")
    assert inside["output"] == "research environment ready\nresearch\n"


def test_code_runs_in_three_languages_and_tells_how_it_went(walk: Walk) -> None:
    codes = {
        "python": "print('Hello from Python')",
        "bash": 'echo "Hello from Bash"',
        "javascript": "console.log(6 * 7)",
    }
    outputs = {}
    for language, code in codes.items():
        done = walk.exec(MAIN, "--language", language, "--code", code, "--timeout", "60s")
        has(done, "success execution_id sandbox_id output error exit_code status language env_vars_used timeout")
        has(done, "execution_time memory_used cpu_time")
        assert (done["success"], done["status"], done["exit_code"], done["error"]) == (True, "completed", 0, None)
        assert (done["language"], done["timeout"], done["env_vars_used"]) == (language, 60, 0)
        assert done["execution_time"] > 0
        assert done["cpu_time"] >= 0
        assert float(re.fullmatch(r"([0-9.]+) MB", done["memory_used"])[1]) > 0
        outputs[language] = done["output"]
    assert outputs == {"python": "Hello from Python\n", "bash": "Hello from Bash\n", "javascript": "42\n"}
    placed = walk.exec(MAIN, "--workdir", "/app", "--env", "A=1", "--env", "B=2", "--", "pwd; echo $A$B")
    assert (placed["output"], placed["env_vars_used"]) == ("/app\n12\n", 2)
    beside = walk.exec(MAIN, "--workdir", "/app", "--language", "javascript", "--code", 'require("./server")')
    assert beside["output"] == "Hello World!\n"


def test_exit_codes_pass_through_and_a_timeout_ends_what_runs(walk: Walk) -> None:
    walk.scenario.run("exec", MAIN, "--", "exit 7").expect(7)
    failed = walk.exec(MAIN, "--", "echo out; echo why >&2; exit 3", code=3)
    assert (failed["success"], failed["output"], failed["error"]) == (False, "out\n", "why\n")
    assert (failed["status"], failed["code"]) == ("failed", "EXECUTION_ERROR")
    late = walk.exec(MAIN, "--timeout", "1s", "--", "sleep 4321 & sleep 4321", code=124)
    assert (late["status"], late["code"]) == ("timeout", "EXECUTION_TIMEOUT")
    assert walk.exec(MAIN, "--", "! pgrep -f '[s]leep 4321'")["success"]


def test_several_languages_run_at_once_in_one_sandbox(walk: Walk) -> None:
    # Each ends well only once the other two have begun.
    waiting = "for n in $(seq 100); do [ $(ls /tmp/met | wc -l) = 3 ] && exit 0; sleep 0.1; done; exit 1"
    bash, python, node = (f"mkdir -p /tmp/met; touch /tmp/met/{name}; {waiting}" for name in ("one", "two", "three"))
    codes = {
        "bash": bash,
        "python": f"import subprocess; subprocess.run(['bash', '-c', '{python}'], check=True)",
        "javascript": f"require('child_process').execFileSync('bash', ['-c', '{node}'])",
    }
    with ThreadPoolExecutor(3) as pool:
        runs = [
            pool.submit(walk.exec, "worker", "--language", language, "--code", code) for language, code in codes.items()
        ]
        assert [run.result()["success"] for run in runs] == [True, True, True]


def test_files_are_uploaded_with_their_checksums(walk: Walk) -> None:
    project = walk.scenario.folder / "app"
    for name, content in {"package.json": "{}", "src/server.js": "listen()"}.items():
        walk.scenario.file(f"app/{name}", content)
    one = walk.ok("upload", MAIN, str(project / "package.json"), "/app/package.json", schema="upload")
    has(one, "success sandbox_id file_path size_bytes upload_time checksum permissions created_at")
    assert (one["file_path"], one["size_bytes"], one["permissions"]) == ("/app/package.json", 2, "644")
    inside = walk.scenario.inside("sandbox.data-analysis-env", "sha256sum /app/package.json")
    assert one["checksum"] == f"sha256:{inside.split()[0]}"
    several = walk.ok("upload", MAIN, str(project), "/app/copy", schema="upload")
    assert {item["path"] for item in several["files"]} == {"/app/copy/package.json", "/app/copy/src/server.js"}
    config = walk.exec(MAIN, "--", "cat /app/config.json")["output"]
    assert json.loads(config) == {"api": {"version": "v1"}}


def test_a_live_sandbox_is_configured_and_counts_what_was_done(walk: Walk) -> None:
    variables = ("--env", "API_URL=https://api", "--env", "LOG_LEVEL=info", "--env", "CACHE_TTL=3600")
    more = ("--env", "ANTHROPIC_API_KEY=k", "--install", "pip:idna", "--run", "mkdir -p /app/logs", "--restart")
    done = walk.ok("configure", MAIN, *variables, *more, schema="configure")
    has(done, "success sandbox_id env_vars_updated packages_installed commands_executed configuration_time status")
    has(done, "anthropic_key_configured restart_required")
    assert (done["env_vars_updated"], done["packages_installed"], done["commands_executed"]) == (4, 1, 1)
    assert (done["status"], done["anthropic_key_configured"], done["restart_required"]) == ("configured", True, False)
    inside = walk.exec(
        MAIN, "--", "test -d /app/logs && pip show -q idna && echo $LOG_LEVEL; curl -fsS localhost:3000/said"
    )
    assert inside["output"] == "info\nDevelopment environment ready\n"


def test_logs_have_lines_levels_and_times_and_can_be_followed(walk: Walk) -> None:
    following = walk.scenario.start("logs", MAIN, "--follow", "--json", "-n", "1")
    until(lambda: following.stdout, bool)  # it has begun: what comes from now on is new to it
    walk.exec(MAIN, "--", "echo 'Dataset shape: (1000, 3)'; echo 'Warning: deprecated' >&2")
    answer = walk.ok("logs", MAIN, "-n", "1000", schema="logs")
    has(answer, "success sandbox_id logs total_lines log_file_size oldest_entry")
    said = {entry["message"]: entry for entry in answer["logs"]}
    assert (said["Dataset shape: (1000, 3)"]["source"], said["Warning: deprecated"]["source"]) == ("stdout", "stderr")
    assert datetime.fromisoformat(said["Warning: deprecated"]["timestamp"]).tzinfo
    levels = {entry["level"] for entry in walk.ok("logs", MAIN, "--level", "error")["logs"]}
    assert levels <= {"error"}
    assert said["Warning: deprecated"]["level"] != "error" or levels
    assert len(walk.ok("logs", MAIN, "-n", "2")["logs"]) == 2
    assert re.match(r"\d{4}-\d\d-\d\dT", walk.text("logs", MAIN, "-n", "1", "--timestamps"))
    until(lambda: following.stdout, lambda said: "Dataset shape: (1000, 3)" in said)
    following.interrupt()
    assert following.wait().code == 130


def test_status_shows_use_environment_and_executions(walk: Walk) -> None:
    before = walk.status(MAIN)["executions"]
    walk.exec(MAIN, "--", "true")
    walk.exec(MAIN, "--", "false", code=1)
    found = until(lambda: walk.status(MAIN), lambda found: found["resource_usage"] is not None)
    has(found, "id name status template uptime resource_usage environment executions last_activity expires_at")
    has(found["resource_usage"], "cpu_percent memory_used memory_limit disk_used disk_limit network_io")
    has(found["resource_usage"]["network_io"], "bytes_sent bytes_received")
    has(found["environment"], "python_version pip_packages env_vars working_directory")
    after = found["executions"]
    assert (after["total"], after["successful"], after["failed"]) == (
        before["total"] + 2,
        before["successful"] + 1,
        before["failed"] + 1,
    )
    assert after["average_duration"] > 0
    assert found["last_activity"] > found["created_at"]
    assert found["uptime"] > 0


def test_sandboxes_are_listed_filtered_sorted_and_counted(walk: Walk) -> None:
    everything = walk.ok("list", "--status", "running", "--sort-by", "created_at", "--order", "asc", schema="list")
    assert (everything["total_count"], everything["running_count"], everything["stopped_count"]) == (2, 2, 0)
    created = [item["created_at"] for item in everything["sandboxes"]]
    assert created == sorted(created)
    for item in everything["sandboxes"]:
        has(item, "id name template status uptime created_at last_activity resource_usage")
        assert item["last_activity"] > item["created_at"]
    newest = walk.ok("list", "--order", "desc", "--limit", "1", schema="list")
    assert [item["created_at"] for item in newest["sandboxes"]] == [created[-1]]
    of_base = walk.ok("list", "--template", "base", schema="list")
    assert [item["name"] for item in of_base["sandboxes"]] == [MAIN]
    assert walk.ok("list", "--status", "stopped", schema="list")["sandboxes"] == []


def test_use_is_watched_and_thresholds_are_told(walk: Walk) -> None:
    top = until(lambda: walk.ok("top"), lambda top: all(item["resource_usage"] for item in top["sandboxes"]))
    assert {item["name"] for item in checked(top, "top")["sandboxes"]} == {MAIN, "worker"}
    walk.exec(MAIN, "--", "head -c 60m /dev/zero > /dev/shm/held")
    exceeded = {"measured": "memory", "threshold": 1, "exceeded": True}
    until(lambda: walk.status(MAIN), lambda found: any(exceeded.items() <= item.items() for item in found["alerts"]))
    assert "memory" in json.dumps(walk.ok("drift", schema="drift")["alerts"])
    walk.exec(MAIN, "--", "rm /dev/shm/held")


def test_steps_hand_files_over_and_are_tried_again(walk: Walk) -> None:
    assert "Data processed" in walk.text("runs", "show", "--log", "step.etl.process", first_run(walk))
    shown = checked(walk.ok("runs", "show", first_run(walk)), "run")
    assert '"attempts": 2' in json.dumps(shown)


def first_run(walk: Walk) -> str:
    oldest: str = walk.ok("runs", schema="runs")["runs"][-1]["id"]
    return oldest


def test_what_is_stopped_keeps_its_data_and_is_brought_back_by_who_needs_it(walk: Walk) -> None:
    walk.exec("worker", "--", "echo kept > /home/user/kept")
    stopped = walk.ok("stop", "worker", schema="stop")
    has(stopped, "success sandbox_id previous_status current_status uptime final_resource_usage stopped_at")
    has(stopped["final_resource_usage"], "cpu_hours memory_hours total_executions")
    assert (stopped["previous_status"], stopped["data_preserved"]) == ("running", True)
    listed = walk.ok("list", "--status", "stopped", schema="list")
    assert listed["stopped_count"] == 1
    assert [item["uptime"] for item in listed["sandboxes"]] == [walk.status("worker")["uptime"]]
    assert walk.fails("exec", "worker", "--", "true") == "SANDBOX_NOT_RUNNING"
    walk.scenario.run("run", "etl", "process", "--force", "-y").expect(0)
    assert walk.status("worker")["status"] == "running"
    assert walk.exec("worker", "--", "cat kept")["output"] == "kept\n"
    walk.ok("stop", "worker")
    assert walk.ok("start", "worker", schema="start")["sandbox_id"] == stopped["sandbox_id"]


def test_errors_have_the_published_codes(walk: Walk, tmp_path: Path) -> None:
    assert walk.fails("exec", "nobody", "--", "true") == "SANDBOX_NOT_FOUND"
    assert walk.exec(MAIN, "--language", "python", "--code", "raise MemoryError", code=1)["code"] == (
        "INSUFFICIENT_RESOURCES"
    )
    elsewhere = {"NEXUS_TARGET": "e2b", "E2B_API_URL": walk.scenario.engine.api_url, "E2B_API_KEY": f"e2b_{'0' * 40}"}
    assert walk.scenario.run("-C", str(tmp_path), "list", "--json", **elsewhere).expect(1).json["code"] == (
        "PERMISSION_DENIED"
    )
    greedy = "apiVersion: nexus/v1\nproject: greedy\nprovider: {max_timeout: 1h}\nsandboxes: {one: {timeout: 3h}}\n"
    (tmp_path / "nexus.yaml").write_text(greedy)
    refused = walk.scenario.run("-C", str(tmp_path), "plan", "--json").expect(1)
    assert "QUOTA_EXCEEDED" in json.dumps(refused.json)


async def test_agents_have_the_same_as_tools(walk: Walk) -> None:
    shown = json.loads((ROOT / "examples" / "code-interpreter" / ".mcp.json").read_text())["mcpServers"]["nexus"]
    assert shown["command"] == "nexus"
    server = StdioServerParameters(
        command=sys.executable,
        args=["-m", "nexus", "-C", str(walk.scenario.folder), *shown["args"]],
        env=walk.scenario.environment,
    )

    async with Client(stdio_client(server)) as client:

        async def call(tool: str, **arguments: Any) -> dict[str, Any]:
            answer = await client.call_tool(tool, arguments)
            assert not answer.is_error, answer.content
            assert answer.structured_content is not None
            return answer.structured_content

        names = {tool.name for tool in (await client.list_tools()).tools}
        of_sandboxes = "create execute list status configure upload logs stop delete"
        assert {f"sandbox_{name}" for name in of_sandboxes.split()} <= names
        assert {"validate", "plan", "apply", "destroy", "drift", "run", "output"} <= names

        made = await call(
            "sandbox_create",
            template="base",
            name="made-by-a-tool",
            timeout=600,
            env_vars={"ANTHROPIC_API_KEY": SECRET},
            startup_script="echo ready",
            metadata={"team": "frontend"},
        )
        has(made, "success sandbox_id e2b_sandbox_id name template status env_vars_configured metadata url created_at")
        has(made, "anthropic_key_configured packages_to_install startup_script_configured timeout")
        assert (made["anthropic_key_configured"], made["startup_script_configured"]) == (True, True)
        here = {"sandbox_id": made["sandbox_id"]}
        uploaded = await call("sandbox_upload", **here, file_path="/app/config.json", content="{}")
        assert (uploaded["size_bytes"], uploaded["permissions"]) == (2, "644")
        configured = await call("sandbox_configure", **here, env_vars={"A": "1"}, run_commands=["mkdir -p /app/logs"])
        assert (configured["env_vars_updated"], configured["commands_executed"]) == (1, 1)
        code = "import os; print(os.environ['A'], open('/app/config.json').read(), os.path.isdir('/app/logs'))"
        assert (await call("sandbox_execute", **here, code=code, language="python"))["output"] == "1 {} True\n"
        assert (await call("sandbox_status", **here))["sandbox"]["executions"]["total"] == 1
        assert made["sandbox_id"] in {item["id"] for item in (await call("sandbox_list"))["sandboxes"]}
        assert (await call("sandbox_logs", **here))["logs"]
        assert (await call("sandbox_stop", **here))["data_preserved"]
        assert (await call("sandbox_delete", **here))["success"]
        assert (await call("plan"))["changes"] == []
        assert (await call("output"))["web"]["value"]


def test_deleting_tells_what_was_cleaned_and_what_it_cost(walk: Walk) -> None:
    (deleted,) = walk.ok("delete", "worker", "--yes", schema="delete")["sandboxes"]
    has(deleted, "sandbox_id deleted_at resources_cleaned backup_created total_cost")
    has(deleted["resources_cleaned"], "files_removed disk_space_freed processes_terminated")
    assert deleted["total_cost"] >= 0
    assert walk.scenario.actions()["sandbox.worker"] == "create"
    assert len(walk.ok("delete", "--all", "--yes", schema="delete")["sandboxes"]) == 1
    walk.scenario.destroy().expect(0)
    walk.scenario.expect_nothing_left()
