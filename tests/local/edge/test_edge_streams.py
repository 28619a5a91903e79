"""Bodies, upgrades and ends of streams across the edge."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Iterator

import httpx
import pytest
from e2b import AuthenticationException, SandboxNotRunningException

from tests.local.edge.servers import echo_chunks, serving, switch
from tests.local.envd.harness import Cloud


def _until(condition) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true"
        time.sleep(0.02)


def test_both_bodies_stream_at_the_same_time(cloud: Cloud) -> None:
    with serving(cloud, echo_chunks) as port, socket.create_connection(("127.0.0.1", cloud.port)) as connection:
        connection.settimeout(60)
        connection.sendall(f"POST / HTTP/1.1\r\nHost: {port}-ibox.local\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
        for word in (b"first", b"second"):
            connection.sendall(b"%x\r\n%s\r\n" % (len(word), word))
            received = b""
            while word not in received:
                received += connection.recv(1000)
        connection.sendall(b"0\r\n\r\n")
        while not received.endswith(b"0\r\n\r\n"):
            received += connection.recv(1000)


def test_an_upgraded_connection_carries_bytes_both_ways(cloud: Cloud) -> None:
    with serving(cloud, switch) as port, socket.create_connection(("127.0.0.1", cloud.port)) as connection:
        connection.settimeout(60)
        upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\n"
        connection.sendall(f"GET /chat HTTP/1.1\r\nHost: {port}-ibox.local\r\n{upgrade}\r\n".encode())
        received = b""
        while b"greeting;" not in received:
            received += connection.recv(1000)
        assert received.startswith(b"HTTP/1.1 101 ")
        connection.sendall(b"abc")
        assert connection.recv(3, socket.MSG_WAITALL) == b"ABC"
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(4, socket.MSG_WAITALL) == b";bye"
        assert connection.recv(1) == b""


def test_a_client_that_leaves_is_noticed_by_the_server(cloud: Cloud) -> None:
    left = threading.Event()

    async def wait_for_the_end(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\nstarted")
        await writer.drain()
        try:
            await reader.read()
        finally:
            left.set()

    with serving(cloud, wait_for_the_end) as port:
        with httpx.stream("GET", cloud.url, headers=cloud.headers(port=port)) as response:
            assert next(response.iter_raw()) == b"started"
        assert left.wait(60)


def test_a_broken_response_is_cut_not_completed(cloud: Cloud) -> None:
    async def half(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
        await writer.drain()

    with serving(cloud, half) as port, pytest.raises(httpx.TransportError):
        httpx.get(cloud.url, headers=cloud.headers(port=port))


def test_a_server_that_closes_without_an_answer_is_an_unreachable_port(cloud: Cloud) -> None:
    async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")

    with serving(cloud, mute) as port:
        answer = httpx.get(cloud.url, headers=cloud.headers(port=port))
    assert (answer.status_code, answer.json()["port"]) == (502, port)


def test_a_refused_large_upload_gets_its_answer(cloud: Cloud) -> None:
    def body() -> Iterator[bytes]:
        for _ in range(300):
            yield b"x" * 65536

    headers = {"Content-Type": "application/octet-stream", "X-Access-Token": "wrong"}
    answer = httpx.post(f"{cloud.url}/files?path=f", headers=cloud.headers() | headers, content=body(), timeout=60)
    assert answer.status_code == 401
    gone = httpx.post(f"{cloud.url}/files?path=f", headers=cloud.headers("igone"), content=b"x" * 500_000)
    assert gone.status_code == 502


def test_an_answer_that_comes_before_the_body_was_read_is_not_lost(cloud: Cloud) -> None:
    async def impatient(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 Too Much\r\nContent-Length: 5\r\n\r\nenough"[:-1])
        await writer.drain()
        writer.write_eof()
        await reader.read(1)

    with serving(cloud, impatient) as port, httpx.Client(headers=cloud.headers(port=port)) as client:
        for _ in range(20):
            assert client.post(cloud.url, content=b"x" * 3_000).status_code == 413
    headers = {"Content-Type": "application/octet-stream", "X-Metadata-k": "v" * 5000}
    with httpx.Client(headers=cloud.headers() | headers) as client:
        for _ in range(50):
            assert client.post(f"{cloud.url}/files?path=f", content=b"x" * 200_000).status_code == 400


def test_killing_a_sandbox_ends_its_streams_with_the_right_error(cloud: Cloud) -> None:
    sandbox = cloud.sandbox("iother")
    handle = sandbox.commands.run("echo started; sleep 60", background=True)
    killer = threading.Timer(0.3, cloud.kill, ("iother",))
    killer.start()
    begin = time.monotonic()
    with pytest.raises(SandboxNotRunningException, match="killed or reached its end of life"):
        handle.wait()
    assert time.monotonic() - begin < 40
    killer.join()
    with pytest.raises(SandboxNotRunningException):
        sandbox.commands.run("true")


async def test_the_async_client_sees_the_kill_too(cloud: Cloud) -> None:
    sandbox = cloud.async_sandbox("iother")
    handle = await sandbox.commands.run("echo started; sleep 60", background=True)
    waiting = asyncio.create_task(handle.wait())
    await asyncio.to_thread(_until, lambda: cloud.edge.streams.count("iother") > 0)
    cloud.kill("iother")
    with pytest.raises(SandboxNotRunningException):
        await asyncio.wait_for(waiting, 60)


def test_a_request_without_an_answer_yet_is_told_that_the_sandbox_is_gone(cloud: Cloud) -> None:
    asked = threading.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        asked.set()
        await reader.read()

    with serving(cloud, silent) as port, httpx.Client(headers=cloud.headers("iother", port=port)) as client:
        killer = threading.Thread(target=lambda: asked.wait(60) and cloud.kill("iother"))
        killer.start()
        answer = client.get(cloud.url, timeout=60)
        killer.join()
        assert (answer.status_code, answer.json()["message"]) == (502, "The sandbox was not found")
        # The connection is as good as before.
        assert client.get(cloud.url, headers=cloud.headers("ibox")).status_code in (404, 502)


def test_dropping_one_sandbox_spares_the_others(cloud: Cloud) -> None:
    handle = cloud.sandbox("ibox").commands.run("read x; echo $x", background=True, stdin=True)
    cloud.kill("iother")
    handle.send_stdin("still here\n")
    assert handle.wait().stdout == "still here\n"


def test_finished_requests_leave_no_stream_behind(cloud: Cloud) -> None:
    cloud.sandbox().commands.run("true")
    _until(lambda: cloud.edge.streams.count("ibox") == 0)


def test_a_wrong_token_is_an_authentication_error_of_the_sdk(cloud: Cloud) -> None:
    # "iother" serves under ibox's name, so ibox's token is the wrong one.
    cloud.directory.routes["ibox"] = cloud.directory.routes["iother"]
    with pytest.raises(AuthenticationException):
        cloud.sandbox("ibox").commands.run("true")


async def test_a_hundred_requests_at_the_same_time(cloud: Cloud) -> None:
    async with httpx.AsyncClient(base_url=cloud.url, headers=cloud.headers(), timeout=30) as client:
        answers = await asyncio.gather(*(client.get("/health") for _ in range(100)))
    assert {answer.status_code for answer in answers} == {204}
