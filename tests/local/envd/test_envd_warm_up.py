"""After the warm-up nothing may be imported any more: a machine cannot see the host's Python."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx
from e2b import AuthenticationException, CommandExitException, PtySize, SandboxException

from nexus.local.edge import Edge, Route
from nexus.local.ports import listen
from tests.local.envd.harness import Cloud, FakeDirectory, HostMachine, LoopThread, make_users

_SCRIPT = """
import asyncio, json, os, socket, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from nexus.local.envd.accounts import Accounts
from nexus.local.envd.app import create_envd
from nexus.local.envd.config import EnvdConfig
from nexus.local.envd.reaper import Reaper
from nexus.local.envd.run import warm_up
from nexus.local.envd.serving import start_server

warm_up()
before = set(sys.modules)
folder = Path(sys.argv[1])
listening = socket.socket(socket.AF_UNIX)
listening.bind(str(folder / "socket"))
listening.listen()

async def main():
    config = EnvdConfig(sandbox_id="i1", template_id="t1", access_token="ea_0123456789_ibox")
    app = create_envd(config, accounts=Accounts(folder / "etc"), reaper=Reaper(orphans=False))
    server = await start_server(app, listening)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
    server.close()

asyncio.run(main())
print(json.dumps(sorted(set(sys.modules) - before)))
"""


def test_nothing_is_imported_after_the_warm_up() -> None:
    root = Path(__file__).parents[3]
    with tempfile.TemporaryDirectory(prefix="warm-") as name:
        folder = Path(name)
        home = make_users(folder)
        process = subprocess.Popen(
            [sys.executable, "-c", _SCRIPT, str(folder), str(root)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        thread = LoopThread()
        directory = FakeDirectory()
        edge = Edge(directory)
        try:
            port = thread.run(edge.start(listen("127.0.0.1", 0)))
            directory.routes["ibox"] = Route(sandbox_id="ibox", machine=HostMachine(folder / "socket"))
            cloud = Cloud(
                thread=thread, edge=edge, certificates=folder / "tls", directory=directory, port=port, home=home
            )
            _wait_for(folder / "socket", cloud)
            _use_everything(cloud)
            output, _ = process.communicate("\n", timeout=60)
        finally:
            thread.run(edge.close())
            thread.close()
            process.kill()
            process.wait()
    # The test's own executor brings these.
    assert set(json.loads(output)) <= {"concurrent.futures.thread", "queue", "_queue"}


def _wait_for(path: Path, cloud: Cloud) -> None:
    deadline = time.monotonic() + 60
    while not (path.exists() and cloud.sandbox().is_running()):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _use_everything(cloud: Cloud) -> None:
    sandbox = cloud.sandbox()
    for command in ("true", "exit 3", "kill -9 $$", "kill -11 $$"):
        with contextlib.suppress(CommandExitException):
            sandbox.commands.run(command)
    for call in (
        lambda: sandbox.commands.run("true", cwd="/none"),
        lambda: sandbox.commands.run("true", user="ghost"),
        lambda: sandbox.commands.run("sleep 5", timeout=0.2),
        lambda: sandbox.files.read("/none"),
        lambda: sandbox.files.list("/none"),
        lambda: sandbox.files.write_files([{"path": "a", "data": "1"}, {"path": "a", "data": "1"}]),
    ):
        with contextlib.suppress(SandboxException, AuthenticationException):
            call()
    handle = sandbox.pty.create(PtySize(rows=20, cols=70))
    sandbox.pty.send_stdin(handle.pid, b"exit\n")
    handle.wait(on_pty=lambda data: None)
    sandbox.files.write("file", "x", metadata={"a": "b"})
    sandbox.files.write("zipped", "x" * 9999, gzip=True)
    sandbox.files.read("zipped", gzip=True)
    watcher = sandbox.files.watch_dir(".", recursive=True, include_entry=True)
    sandbox.files.make_dir("made/deep")
    watcher.get_new_events()
    watcher.stop()
    sandbox.files.rename("file", "made/file")
    sandbox.files.list(".", depth=5)
    sandbox.files.remove("made")
    for target in ("/metrics", "/envs", "/nothing", "/files?path=zipped", "/files"):
        httpx.get(cloud.url + target, headers=cloud.headers() | {"Origin": "http://x", "Range": "bytes=0-3"})
    httpx.options(
        cloud.url + "/files", headers=cloud.headers() | {"Origin": "http://x", "Access-Control-Request-Method": "GET"}
    )
    httpx.post(cloud.url + "/process.Process/List", headers=cloud.headers(), content=b"{", timeout=60)
