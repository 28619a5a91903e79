"""Commands through the official SDK: the edge in front, a real envd behind."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import struct
import time
from pathlib import Path

import httpx
import pytest
from e2b import (
    AsyncSandbox,
    AuthenticationException,
    CommandExitException,
    InvalidArgumentException,
    NotFoundException,
    PtySize,
    Sandbox,
    SandboxException,
    TimeoutException,
)

from tests.local.envd.harness import Cloud

root_only = pytest.mark.skipif(os.getuid() != 0, reason="switching users needs root")


@pytest.fixture
async def async_sandbox(cloud: Cloud) -> AsyncSandbox:
    return cloud.async_sandbox()


def test_a_command_yields_both_streams_and_its_exit_code(sandbox: Sandbox) -> None:
    with pytest.raises(CommandExitException) as failed:
        sandbox.commands.run("echo out; echo err >&2; exit 7")
    assert (failed.value.stdout, failed.value.stderr, failed.value.exit_code) == ("out\n", "err\n", 7)
    assert failed.value.error == "exit status 7"


def test_a_command_killed_by_a_signal_has_exit_code_minus_one(sandbox: Sandbox) -> None:
    with pytest.raises(CommandExitException) as failed:
        sandbox.commands.run("kill -9 $$")
    assert (failed.value.exit_code, failed.value.error) == (-1, "signal: killed")


def test_a_missing_program_is_exit_code_127(cloud: Cloud) -> None:
    events = _start(cloud, {"cmd": "/no/such/program"})
    assert events[-1]["event"]["end"]["exitCode"] == 127
    assert any("stderr" in event["event"].get("data", {}) for event in events)


def test_the_environment_is_layered_and_nothing_is_inherited(cloud: Cloud, sandbox: Sandbox) -> None:
    lines = sandbox.commands.run("env", envs={"BOTH": "request", "OWN": "1"}).stdout.splitlines()
    env = dict(line.split("=", 1) for line in lines)
    assert env["FROM_SANDBOX"] == "sandbox"
    assert env["BOTH"] == "request"
    assert env["OWN"] == "1"
    assert (env["E2B_SANDBOX"], env["E2B_SANDBOX_ID"], env["E2B_TEMPLATE_ID"]) == ("true", "ibox", "tbase")
    assert (env["HOME"], env["USER"], env["LOGNAME"]) == (str(cloud.home), "user", "user")
    assert "LEAKED_FROM_HOST" not in env


def test_a_command_starts_at_home_and_cwd_may_be_relative_to_it(cloud: Cloud, sandbox: Sandbox) -> None:
    (cloud.home / "work").mkdir(exist_ok=True)
    home = cloud.home.resolve()
    assert sandbox.commands.run("pwd").stdout.strip() == str(home)
    assert sandbox.commands.run("pwd", cwd="work").stdout.strip() == str(home / "work")
    assert sandbox.commands.run("pwd", cwd="~/work").stdout.strip() == str(home / "work")


def test_a_missing_cwd_is_an_invalid_argument(sandbox: Sandbox) -> None:
    with pytest.raises(InvalidArgumentException, match="cwd '/no/such' does not exist"):
        sandbox.commands.run("true", cwd="/no/such")


def test_an_unknown_user_is_an_authentication_error(sandbox: Sandbox) -> None:
    with pytest.raises(AuthenticationException, match="invalid username: 'ghost'"):
        sandbox.commands.run("true", user="ghost")


@root_only
def test_a_command_runs_as_its_user_with_supplementary_groups(sandbox: Sandbox) -> None:
    assert sandbox.commands.run("id -u; id -g; id -G", user="other").stdout == "4242\n4243\n4243 4244\n"


def test_a_wrong_token_is_refused(cloud: Cloud) -> None:
    answer = httpx.get(f"{cloud.url}/envs", headers=cloud.headers() | {"X-Access-Token": "no"})
    assert answer.status_code == 401
    assert answer.json()["message"].startswith("unauthorized access, please provide a valid access token")
    assert httpx.get(f"{cloud.url}/envs", headers=cloud.headers()).json()["FROM_SANDBOX"] == "sandbox"


def test_stdin_reaches_the_command_and_can_be_closed(sandbox: Sandbox) -> None:
    handle = sandbox.commands.run("cat; echo end", background=True, stdin=True)
    handle.send_stdin("first ")
    handle.send_stdin("second\n")
    handle.close_stdin()
    assert handle.wait().stdout == "first second\nend\n"


def test_large_stdin_arrives_whole_and_in_order(sandbox: Sandbox) -> None:
    handle = sandbox.commands.run("sha256sum", background=True, stdin=True)
    data = "".join(f"{number:07}\n" for number in range(100_000))
    for start in range(0, len(data), 200_000):
        handle.send_stdin(data[start : start + 200_000])
    handle.close_stdin()
    assert handle.wait().stdout.split()[0] == hashlib.sha256(data.encode()).hexdigest()


def test_without_stdin_a_command_reads_nothing_and_takes_nothing(sandbox: Sandbox) -> None:
    assert sandbox.commands.run("cat; echo done").stdout == "done\n"
    handle = sandbox.commands.run("sleep 20", background=True)
    with pytest.raises(SandboxException, match="stdin not enabled or closed"):
        sandbox.commands.send_stdin(handle.pid, "x")
    handle.kill()


def test_the_deadline_kills_the_command_on_the_server(sandbox: Sandbox) -> None:
    with pytest.raises(TimeoutException):
        sandbox.commands.run("sleep 30.25", timeout=0.5)
    _until(lambda: all("sleep 30.25" not in str(process.args) for process in sandbox.commands.list()))


def test_list_connect_and_kill_by_pid(sandbox: Sandbox) -> None:
    handle = sandbox.commands.run("echo early; read x; echo late $x", background=True, stdin=True, envs={"A": "b"})
    process = next(process for process in sandbox.commands.list() if process.pid == handle.pid)
    assert (process.cmd, process.envs) == ("/bin/bash", {"A": "b"})
    other = sandbox.commands.connect(handle.pid)
    sandbox.commands.send_stdin(handle.pid, "word\n")
    assert "late word" in other.wait().stdout
    assert handle.wait().stdout == "early\nlate word\n"
    assert sandbox.commands.kill(handle.pid) is False


def test_connecting_to_an_unknown_pid_is_not_found(sandbox: Sandbox) -> None:
    with pytest.raises(NotFoundException, match="process with pid 3999999 not found"):
        sandbox.commands.connect(3999999)


def test_a_process_that_ended_lately_still_yields_its_end(sandbox: Sandbox) -> None:
    handle = sandbox.commands.run("true", background=True)
    handle.wait()
    assert sandbox.commands.connect(handle.pid).wait().exit_code == 0


def test_a_disconnected_client_leaves_its_command_running(sandbox: Sandbox) -> None:
    handle = sandbox.commands.run("read x; echo got $x", background=True, stdin=True)
    handle.disconnect()
    again = sandbox.commands.connect(handle.pid)
    sandbox.commands.send_stdin(handle.pid, "it\n")
    assert again.wait().stdout == "got it\n"


def test_killing_ends_the_stream_although_a_child_holds_the_pipe(sandbox: Sandbox) -> None:
    handle = sandbox.commands.run("sleep 21 & echo started; wait", background=True)
    for _out, _err, _pty in handle:
        break
    assert sandbox.commands.kill(handle.pid) is True
    with pytest.raises(CommandExitException) as ended:
        handle.wait()
    assert ended.value.exit_code == -1


def test_the_end_waits_for_a_background_child_that_holds_the_pipe(sandbox: Sandbox) -> None:
    assert sandbox.commands.run("(sleep 0.3; echo late) & echo first").stdout == "first\nlate\n"


def test_a_terminal_has_its_size_and_can_be_resized(sandbox: Sandbox) -> None:
    output = bytearray()
    handle = sandbox.pty.create(PtySize(rows=20, cols=70))
    sandbox.pty.send_stdin(handle.pid, b"stty size; tty\n")
    _read_pty(handle, output, b"20 70")
    sandbox.pty.resize(handle.pid, PtySize(rows=33, cols=99))
    sandbox.pty.send_stdin(handle.pid, b"stty size; exit 5\n")
    with pytest.raises(CommandExitException) as ended:
        handle.wait(on_pty=output.extend)
    assert b"33 99" in output
    assert b"/dev/pts/" in output
    assert ended.value.exit_code == 5


def test_control_c_on_a_terminal_interrupts_the_foreground_program(sandbox: Sandbox) -> None:
    output = bytearray()
    handle = sandbox.pty.create(PtySize(rows=20, cols=70))
    # The program itself says that it is there: before that, the shell would take the signal.
    sandbox.pty.send_stdin(handle.pid, b"sh -c 'echo re\"\"ady; exec sleep 60'\n")
    _read_pty(handle, output, b"ready")
    sandbox.pty.send_stdin(handle.pid, b"\x03")
    sandbox.pty.send_stdin(handle.pid, b"echo after; exit 0\n")
    handle.wait(on_pty=output.extend)
    assert b"after" in output


def test_output_in_any_amount_arrives_while_memory_stays_bounded(cloud: Cloud, sandbox: Sandbox) -> None:
    sizes: list[int] = []
    sandbox.commands.run(
        "head -c 150000000 /dev/zero | tr '\\0' x", on_stdout=lambda text: sizes.append(len(text)), retain_output=False
    )
    assert sum(sizes) == 150_000_000
    assert _peak_memory(cloud) < 120_000_000


def test_a_command_nobody_listens_to_is_not_held_back(cloud: Cloud, sandbox: Sandbox) -> None:
    done = cloud.home / "unheard"
    handle = sandbox.commands.run(f"head -c 50000000 /dev/zero; touch {done}", background=True)
    handle.disconnect()
    _until(done.exists)


async def test_fifty_commands_run_at_the_same_time(async_sandbox: AsyncSandbox) -> None:
    results = await asyncio.gather(*(async_sandbox.commands.run(f"sleep 0.2; echo {number}") for number in range(50)))
    assert [result.stdout for result in results] == [f"{number}\n" for number in range(50)]


async def test_the_async_client_streams_input_and_output(async_sandbox: AsyncSandbox) -> None:
    handle = await async_sandbox.commands.run("head -n 2", background=True, stdin=True)
    stream = async_sandbox.commands.stream_input(handle.pid)
    await stream.send(b"one\n")
    await stream.send(b"two\n")
    await stream.close()
    assert (await handle.wait()).stdout == "one\ntwo\n"


def test_process_events_are_logged_without_environment_values(cloud: Cloud, sandbox: Sandbox) -> None:
    sandbox.commands.run("echo visible-line", envs={"SECRET": "hidden-value"})
    path = cloud.directory.routes["ibox"].machine.envd_socket
    with httpx.Client(transport=httpx.HTTPTransport(uds=str(path))) as client:
        text = client.get("http://envd/logs", headers={"X-Access-Token": cloud.headers()["X-Access-Token"]}).text
    assert "visible-line" in text
    assert "process ended" in text
    assert "hidden-value" not in text


def test_the_daemon_can_change_defaults_over_the_machines_socket(cloud: Cloud, sandbox: Sandbox) -> None:
    path = cloud.directory.routes["ibox"].machine.envd_socket
    with httpx.Client(transport=httpx.HTTPTransport(uds=str(path)), headers=cloud.headers()) as client:
        wishes = {"envVars": {"ADDED": "later"}, "defaultWorkdir": "/usr"}
        assert client.post("http://envd/init", json=wishes).status_code == 204
        assert client.post("http://envd/init", json={"envVars": 1}).status_code == 400
        assert sandbox.commands.run("pwd; echo $ADDED $FROM_SANDBOX").stdout == "/usr\nlater sandbox\n"
        assert client.post("http://envd/init", json={"defaultWorkdir": str(cloud.home)}).status_code == 204


def test_a_round_trip_through_the_edge_takes_milliseconds(sandbox: Sandbox) -> None:
    times = []
    for _ in range(40):
        begin = time.perf_counter()
        sandbox.commands.run("true")
        times.append(time.perf_counter() - begin)
    # Far above what is measured on an idle machine, so that a busy one does not fail.
    assert min(times) < 0.1, "the quickest, since others may have the processor meanwhile"


def _start(cloud: Cloud, process: dict[str, object]) -> list[dict]:
    body = json.dumps({"process": process}).encode()
    answer = httpx.post(
        f"{cloud.url}/process.Process/Start",
        headers=cloud.headers() | {"Content-Type": "application/connect+json", "Connect-Protocol-Version": "1"},
        content=struct.pack(">BI", 0, len(body)) + body,
    )
    events, at = [], 0
    while at < len(answer.content):
        flags, length = struct.unpack_from(">BI", answer.content, at)
        if not flags & 2:
            events.append(json.loads(answer.content[at + 5 : at + 5 + length]))
        at += 5 + length
    return events


def _read_pty(handle, output: bytearray, wanted: bytes) -> None:
    for _out, _err, data in handle:
        output.extend(data or b"")
        if wanted in output:
            return


def _until(condition) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true"
        time.sleep(0.02)


def _peak_memory(cloud: Cloud) -> int:
    status = Path(f"/proc/{cloud.pids['ibox']}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024
