"""Process streams below the SDK: what a raw Connect client sees."""

from __future__ import annotations

import json
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from e2b import PtySize, Sandbox

from tests.local.envd.harness import Cloud


def test_a_stalled_listener_holds_the_process_and_no_memory_grows(cloud: Cloud, sandbox: Sandbox) -> None:
    done = cloud.home / "stalled-done"
    with _stalled_start(cloud, f"head -c 60000000 /dev/zero; touch {done}") as pid:
        _until_stable(lambda: _written(pid))
        assert not done.exists()
        # Another listener shares the fate of the slow one, and both stop mattering once it is gone.
        assert pid in [process.pid for process in sandbox.commands.list()]
    deadline = time.monotonic() + 60
    while not done.exists():
        assert time.monotonic() < deadline, "the process is still held"
        time.sleep(0.02)
    status = Path(f"/proc/{cloud.pids['ibox']}/status").read_text()
    assert int(status.partition("VmHWM:")[2].split()[0]) < 120_000


def test_silence_is_broken_by_keepalives_at_the_interval_asked_for(cloud: Cloud) -> None:
    message = {"process": {"cmd": "/bin/sleep", "args": ["1.5"]}, "stdin": False}
    events = _stream(cloud, "Start", message, {"Keepalive-Ping-Interval": "1"})
    assert [next(iter(event["event"])) for event in events[:-1]] == ["start", "keepalive", "end"]
    end = events[-2]["event"]["end"]
    assert end == {"exited": True, "status": "exit status 0"}


def test_a_stream_past_its_deadline_ends_with_that_error(cloud: Cloud) -> None:
    message = {"process": {"cmd": "/bin/sleep", "args": ["30"]}}
    events = _stream(cloud, "Start", message, {"Connect-Timeout-Ms": "300"})
    assert events[-1]["error"]["code"] == "deadline_exceeded"


def test_processes_are_found_by_tag(cloud: Cloud) -> None:
    message = {"process": {"cmd": "/bin/cat"}, "tag": "my-tag"}
    with _stalled(cloud, message):
        listed = _unary(cloud, "List", {})["processes"]
        assert [process["tag"] for process in listed if process.get("tag")] == ["my-tag"]
        signal = {"process": {"tag": "my-tag"}, "signal": "SIGNAL_SIGTERM"}
        assert _unary(cloud, "SendSignal", signal) == {}
    # It lingers among the ended ones, and its end can still be had.
    end = _stream(cloud, "Connect", {"process": {"tag": "my-tag"}})[1]["event"]["end"]
    assert end == {"exitCode": -1, "status": "signal: terminated", "error": "signal: terminated"}


@pytest.mark.parametrize(
    ("method", "message", "code"),
    [
        ("SendSignal", {"process": {"pid": 3999999}, "signal": "SIGNAL_SIGKILL"}, "not_found"),
        ("SendInput", {"process": {"tag": "none"}, "input": {"stdin": ""}}, "not_found"),
        ("SendInput", {}, "invalid_argument"),
        ("Update", {"process": {"pid": 3999999}, "pty": {"size": {"cols": 1, "rows": 1}}}, "not_found"),
    ],
)
def test_errors_have_the_codes_of_connect(cloud: Cloud, method: str, message: dict[str, Any], code: str) -> None:
    assert _unary(cloud, method, message)["code"] == code


def test_arguments_that_cannot_be_passed_on_are_invalid(cloud: Cloud) -> None:
    for process in ({"cmd": "/bin/echo", "args": ["a\0b"]}, {"cmd": "/bin/echo", "envs": {"a=b": "c"}}, {}):
        assert _stream(cloud, "Start", {"process": process})[-1]["error"]["code"] == "invalid_argument"
    assert httpx.get(f"{cloud.url}/files?path=a%00b", headers=cloud.headers()).status_code == 400


def test_what_a_terminal_does_not_do_is_an_error(cloud: Cloud, sandbox: Sandbox) -> None:
    terminal = sandbox.pty.create(PtySize(rows=10, cols=40))
    assert _unary(cloud, "CloseStdin", {"process": {"pid": terminal.pid}})["code"] == "failed_precondition"
    unknown_signal = {"process": {"pid": terminal.pid}, "signal": "SIGNAL_UNSPECIFIED"}
    assert _unary(cloud, "SendSignal", unknown_signal)["code"] == "unimplemented"
    plain = sandbox.commands.run("cat", background=True, stdin=True)
    size = {"process": {"pid": plain.pid}, "pty": {"size": {"cols": 1, "rows": 1}}}
    assert _unary(cloud, "Update", size)["code"] == "failed_precondition"
    assert terminal.kill()
    assert plain.kill()


def _unary(cloud: Cloud, method: str, message: dict[str, Any]) -> dict[str, Any]:
    answer = httpx.post(f"{cloud.url}/process.Process/{method}", headers=cloud.headers(), json=message)
    parsed: dict[str, Any] = answer.json()
    return parsed


def _stream(
    cloud: Cloud, method: str, message: dict[str, Any], headers: dict[str, str] | None = None
) -> list[dict[str, Any]]:
    """All messages of a stream; the last one is its end frame."""
    kind = {"Content-Type": "application/connect+json", "Connect-Protocol-Version": "1"}
    answer = httpx.post(
        f"{cloud.url}/process.Process/{method}",
        headers=cloud.headers() | kind | (headers or {}),
        content=_frame(message),
        timeout=20,
    )
    messages, at = [], 0
    while at < len(answer.content):
        _, length = struct.unpack_from(">BI", answer.content, at)
        messages.append(json.loads(answer.content[at + 5 : at + 5 + length]))
        at += 5 + length
    return messages


def _frame(message: dict[str, Any]) -> bytes:
    body = json.dumps(message).encode()
    return struct.pack(">BI", 0, len(body)) + body


@contextmanager
def _stalled_start(cloud: Cloud, script: str) -> Iterator[int]:
    with _stalled(cloud, {"process": {"cmd": "/bin/sh", "args": ["-c", script]}}) as pid:
        yield pid


@contextmanager
def _stalled(cloud: Cloud, message: dict[str, Any]) -> Iterator[int]:
    """A client that starts a process, reads its pid and then nothing more."""
    body = _frame(message)
    lines = [f"{name}: {value}" for name, value in cloud.headers().items()]
    lines += ["Content-Type: application/connect+json", f"Content-Length: {len(body)}", "\r\n"]
    with socket.create_connection(("127.0.0.1", cloud.port)) as connection:
        connection.sendall(
            "\r\n".join(["POST /process.Process/Start HTTP/1.1", "Host: localhost", *lines]).encode() + body
        )
        received = b""
        while b"}" not in received:
            received += connection.recv(200)
        yield int(received.partition(b'"pid":')[2].partition(b"}")[0])


def _written(pid: int) -> int:
    """Bytes written by the process and its children that have ended."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return sum(int(Path(f"/proc/{one}/io").read_text().split()[3]) for one in (*children, pid))


def _until_stable(value) -> None:
    """Wait until something has been written and nothing more is for half a second."""
    deadline = time.monotonic() + 60
    last, since = -1, time.monotonic()
    while last < 1_000_000 or time.monotonic() - since < 0.5:
        assert time.monotonic() < deadline
        now = value()
        if now != last:
            last, since = now, time.monotonic()
        time.sleep(0.02)
