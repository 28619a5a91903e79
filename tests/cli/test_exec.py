"""``nexus exec``, ``list`` and ``logs`` on live sandboxes."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from typing import Any

import pytest
from e2b import Sandbox

from tests.cli.conftest import Nexus, check

pytestmark = pytest.mark.engine


def test_streams_stay_apart_and_the_exit_code_passes_through(shared: Nexus) -> None:
    ran = shared("exec", "web", "--", "echo out; echo err >&2; exit 7")
    assert (ran.code, ran.out, ran.err) == (7, "out\n", "err\n")


def test_several_words_are_run_as_they_are(shared: Nexus) -> None:
    assert shared.ok("exec", "web", "--", "printf", "%s|", "a b", "$HOME", "*").out == "a b|$HOME|*|"


def test_piped_input_is_handed_on_as_it_comes(shared: Nexus) -> None:
    assert shared.ok("exec", "web", "--", "tr", "a-z", "A-Z", stdin="hello\n").out == "HELLO\n"
    process = subprocess.Popen(
        shared.command("exec", "web", "--", "read first; echo got $first; cat"),
        cwd=shared.folder,
        env=shared.environment({}),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    with process:
        process.stdin.write("one\n")
        process.stdin.flush()
        assert process.stdout.readline() == "got one\n"
        process.stdin.write("two\n")
        process.stdin.close()
        assert process.stdout.read() == "two\n"
    assert process.returncode == 0


def test_a_pipe_that_never_ends_keeps_nobody_from_ending(shared: Nexus) -> None:
    process = subprocess.Popen(
        shared.command("exec", "web", "--", "echo done"),
        cwd=shared.folder,
        env=shared.environment({}),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.wait(timeout=60) == 0
    process.communicate()


@pytest.mark.parametrize(
    ("language", "code"),
    [
        ("python", "import os, sys; print(6 * 7, os.environ['ONE']); sys.exit(3)"),
        ("javascript", "console.log(6 * 7, process.env.ONE); process.exit(3)"),
        ("bash", "echo $((6 * 7)) $ONE; exit 3"),
    ],
)
def test_code_runs_in_every_language_and_is_told_in_the_published_fields(
    language: str, code: str, shared: Nexus
) -> None:
    ran = shared("exec", "web", "--language", language, "--code", code, "--env", "ONE=1", "--timeout", "30s", "--json")
    document = ran.json("exec")
    assert ran.code == document["exit_code"] == 3
    assert document["output"] == "42 1\n"
    assert (document["status"], document["success"], document["language"]) == ("failed", False, language)
    assert document["code"] == "EXECUTION_ERROR"
    assert (document["env_vars_used"], document["timeout"], document["address"]) == (1, 30.0, "sandbox.web")
    assert document["execution_time"] > 0
    assert document["memory_used"].endswith(" MB")


def test_code_comes_from_a_file_whose_name_says_the_language(shared: Nexus) -> None:
    (shared.folder / "answer.py").write_text("print(6 * 7)")
    assert shared.ok("exec", "worker[1]", "--file", "answer.py").out == "42\n"


def test_folder_user_and_own_variables_are_as_asked_for(shared: Nexus) -> None:
    ran = shared.ok(
        *("exec", 'sandbox.worker["0"]', "--workdir", "/tmp", "--user", "root", "--env", "MINE", "--"),
        "pwd; id -un; echo $MINE $STAGE",
        env={"MINE": "mine"},
    )
    assert ran.out == "/tmp\nroot\nmine\n"


def test_a_time_limit_ends_it_with_a_code_of_its_own(shared: Nexus) -> None:
    ran = shared("exec", "web", "--timeout", "1s", "--", "sleep 60")
    assert ran.code == 124
    assert "error[execution-timeout]" in ran.err
    timed = shared("exec", "web", "--timeout", "1s", "--json", "--", "sleep 60")
    assert (timed.code, timed.json("exec")["status"]) == (124, "timeout")
    assert timed.json("exec")["code"] == "EXECUTION_TIMEOUT"


def test_what_ran_out_of_something_is_told_from_what_merely_failed(shared: Nexus) -> None:
    full = shared("exec", "web", "--", "echo 'cp: No space left on device' >&2; exit 1")
    assert full.code == 1
    assert "error[insufficient-resources]: The code ran out of disk, as it seems" in full.err
    killed = shared("exec", "web", "--json", "--", "kill -9 $$")
    assert (killed.code, killed.json("exec")["code"]) == (137, "INSUFFICIENT_RESOURCES")
    assert "less memory" in killed.json("exec")["hint"]


def test_an_interrupt_ends_the_command_inside(shared: Nexus) -> None:
    process = subprocess.Popen(
        shared.command("exec", "web", "--", "echo begun; sleep 31415"),
        cwd=shared.folder,
        env=shared.environment({}),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert said.strip() == "Interrupted."
    assert shared("exec", "web", "--", "pgrep -f '[s]leep 31415'").out == ""


@pytest.mark.parametrize(
    ("name", "hint"),
    [("wbe", "web"), ("worker", "worker[0], worker[1]"), ("i0123456789abcdefghij", ""), ("sandbox.wbe", "web")],
)
def test_an_unknown_sandbox_is_an_error_with_the_nearest_name(name: str, hint: str, shared: Nexus) -> None:
    for command in (["exec", name, "--json", "--", "true"], ["logs", name, "--json"]):
        ran = shared(*command)
        document = ran.json("failure")
        assert (ran.code, document["code"], document["success"]) == (1, "SANDBOX_NOT_FOUND", False)
        assert hint in document["diagnostics"][0]["hint"]


def test_what_was_never_made_is_told_with_what_makes_it(nexus: Nexus) -> None:
    nexus.write("sandboxes: {web: {template: base}}\n")
    ran = nexus("exec", "wbe", "--", "ls")
    assert ran.code == 1
    assert "hint: «nexus apply» makes what the manifest declares" in ran.err


def test_outside_of_a_project_sandboxes_go_by_their_ids(shared: Nexus) -> None:
    sandbox_id = shared.ok("output", "--raw", "web").out.strip()
    outside = Nexus(shared.folder.parent, shared.home)
    assert outside.ok("exec", sandbox_id, "--", "echo $STAGE").out == "test\n"
    refused = outside("exec", "web", "--", "true")
    assert refused.code == 1
    assert "named by its id" in refused.err
    assert sandbox_id in [item["id"] for item in outside.ok("list", "--json").json("list")["sandboxes"]]


def test_lists_are_filtered_sorted_and_counted(shared: Nexus) -> None:
    document = shared.ok("list", "--json", "--sort-by", "name", "--order", "asc").json("list")
    assert [item["name"] for item in document["sandboxes"]] == ["web", "worker[0]", "worker[1]"]
    assert [item["address"] for item in document["sandboxes"]][1] == 'sandbox.worker["0"]'
    assert (document["total_count"], document["running_count"], document["stopped_count"]) == (3, 3, 0)
    limited = shared.ok("list", "--json", "--limit", "1", "--template", "base").json("list")
    assert (len(limited["sandboxes"]), limited["total_count"]) == (1, 3)
    none = shared.ok("list", "--json", "--status", "stopped").json("list")
    assert (none["sandboxes"], none["total_count"]) == ([], 3)
    everything = shared.ok("list", "--all", "--json").json("list")
    assert everything["total_count"] >= 3
    table = shared.ok("list").out.splitlines()
    assert table[0].split() == ["NAME", "STATUS", "TEMPLATE", "ID", "AGE", "ENDS", "IN"]
    assert len(table) == 5


def test_a_paused_sandbox_is_said_to_be_paused(nexus: Nexus, sdk_options: dict[str, Any]) -> None:
    nexus.write("sandboxes: {idle: {template: base}}\noutputs: {id: {value: '${{ sandbox.idle.id }}'}}\n")
    nexus.ok("apply", "-y")
    Sandbox.pause(nexus.ok("output", "--raw", "id").out.strip(), **sdk_options)
    ran = nexus("exec", "idle", "--", "true")
    assert ran.code == 1
    assert "error[sandbox-not-running]" in ran.err
    assert "«nexus start» resumes" in ran.err
    assert nexus("exec", "idle", "--json", "--", "true").json("failure")["code"] == "SANDBOX_NOT_RUNNING"
    listed = nexus.ok("list", "--json", "--status", "stopped").json("list")
    assert [item["name"] for item in listed["sandboxes"]] == ["idle"]
    assert listed["stopped_count"] == 1


def test_logs_show_the_last_lines_and_no_secret(shared: Nexus) -> None:
    shared.ok("exec", "web", "--", "echo a line for the log")
    document = shared.ok("logs", "web", "-n", "3", "--json").json("logs")
    assert len(document["logs"]) == 3
    assert document["total_lines"] > 3
    everything = shared.ok("logs", "web", "-n", "1000", "--timestamps").out
    assert "stdout │ a line for the log" in everything
    assert "a-seeded-secret" not in everything
    assert "nexus: its own work" not in everything
    assert "nexus: its own work" in shared.ok("logs", "web", "--all").out
    shared.ok("exec", "web", "--", "echo a complaint >&2")
    complaints = shared.ok("logs", "web", "--level", "error", "--json").json("logs")["logs"]
    assert {entry["level"] for entry in complaints} == {"error"}
    assert complaints[-1]["message"].strip() == "a complaint"


def test_followed_logs_go_on_until_the_sandbox_is_gone(nexus: Nexus, sdk_options: dict[str, Any]) -> None:
    nexus.write("sandboxes: {chatty: {template: base}}\noutputs: {id: {value: '${{ sandbox.chatty.id }}'}}\n")
    nexus.ok("apply", "-y")
    process = subprocess.Popen(
        nexus.command("logs", "chatty", "--follow", "--json", "-n", "1"),
        cwd=nexus.folder,
        env=nexus.environment({}),
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    with process:
        check_entry(process.stdout.readline())
        nexus.ok("exec", "chatty", "--", "echo something new")
        deadline = time.monotonic() + 60
        while json.loads(process.stdout.readline())["message"].strip() != "something new":
            assert time.monotonic() < deadline
        Sandbox.kill(nexus.ok("output", "--raw", "id").out.strip(), **sdk_options)
        try:
            process.wait(60)
        finally:
            process.kill()
    assert process.returncode == 0


def check_entry(line: str) -> None:
    entry = json.loads(line)
    document = {
        "format_version": 1,
        "success": True,
        "sandbox_id": "i",
        "address": None,
        "logs": [entry],
        "total_lines": 1,
        "log_file_size": "1 B",
        "oldest_entry": None,
    }
    check(document, "logs")
