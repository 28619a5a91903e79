"""Start, find, stop and look at the local engine from another process. The daemon itself is :mod:`nexus.local.serving`.

Stopping the daemon leaves sandboxes running: their processes do not need it, and the next start takes them over. Only
their time to live waits meanwhile.
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import nexus
from nexus.local.clients import client_variables
from nexus.local.isolation_choice import AUTOMATIC, choose
from nexus.local.outliving import let_outlive, reap
from nexus.local.presence import Presence, is_held, one_at_a_time, read_presence
from nexus.local.settings import (
    CERTIFICATE_VARIABLES,
    HOST,
    Settings,
    create_settings,
    is_engine_home,
    load_settings,
)
from nexus.local.storage.removal import leftovers_of, remove_aside, remove_in_background, remove_tree

START_LIMIT = 90.0
STOP_LIMIT = 30.0
_POLL = 0.05
_REQUEST_LIMIT = 60.0
# What the daemon and its machines need of the caller's environment. Anything else, credentials above all, stays out.
_PASSED_ON = (
    *("PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "TZ", "TMPDIR", "XDG_DATA_HOME"),
    *CERTIFICATE_VARIABLES,
    *("NEXUS_LOCAL_FAULTS", "NEXUS_LOCAL_MAX_TIMEOUT", "NEXUS_LOCAL_ISOLATION"),
    *("NEXUS_LOCAL_MIN_FREE_MB", "NEXUS_LOCAL_MAX_DISK_MB", "NEXUS_LOCAL_MAX_SANDBOX_DISK_MB"),
)


class DaemonError(Exception):
    """The daemon could not be started, reached or stopped; the text says why and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where an engine is reached."""

    api_url: str
    sandbox_url: str
    api_key: str = field(repr=False)
    engine_id: str
    pid: int
    version: str
    home: Path

    def sdk_options(self) -> dict[str, str]:
        """What every call of the e2b SDK takes to reach this engine."""
        return {"api_key": self.api_key, "api_url": self.api_url, "sandbox_url": self.sandbox_url}


def ensure_running(
    home: Path,
    *,
    test_controls: bool = False,
    limits: object = None,
    faults: object = None,
    isolation: str | None = None,
) -> Endpoint:
    """The engine of ``home``, started if it is not running. Safe to call from several processes at once.

    A daemon of another version of nexus, or of changed code, is replaced; its sandboxes go on. ``test_controls`` starts
    one with a movable clock. ``limits`` and ``faults`` are set in any case, as :func:`control` would; None leaves them
    as they are. ``isolation`` names a tier, or ``auto``; it is remembered for later starts, and refused where another
    one is in use. Raises DaemonError, SettingsError.
    """
    home = home.absolute()
    create_settings(home)
    for leftover in leftovers_of(home):
        remove_in_background(leftover)
    with one_at_a_time(home):
        presence = _presence(home)
        if presence is not None and not presence.runs_this_code():
            _stop(home, presence, kill_sandboxes=False)
            presence = None
        if isolation is not None:
            _choose_isolation(home, isolation, is_running=presence is not None)
        if presence is None:
            presence = _start(home, test_controls=test_controls)
        settings = _settings(home)
        for path, document in (("/nexus/limits", limits), ("/nexus/faults", faults)):
            if document is not None:
                _request(settings, "POST", path, document)
        return _endpoint(settings, presence)


def is_running(home: Path) -> bool:
    """Whether the engine of ``home`` is up and ready; starts nothing. Of a home that can't be read: it is not."""
    try:
        return read_presence(home.absolute()) is not None
    except OSError:
        return False


def find_running(home: Path) -> Endpoint | None:
    """The engine of ``home`` if it is running; starts nothing."""
    presence = read_presence(home.absolute())
    return None if presence is None else _endpoint(_settings(home.absolute()), presence)


def stop(home: Path, *, kill_sandboxes: bool = False) -> bool:
    """Stop the daemon; False when none was running. Sandboxes go on unless they are to be killed. Raises DaemonError.

    With ``kill_sandboxes`` and no daemon, one is started to end what is left.
    """
    home = home.absolute()
    if not is_engine_home(home):
        return False
    if kill_sandboxes and read_presence(home) is None:
        ensure_running(home)
    with one_at_a_time(home):
        presence = _presence(home)
        if presence is None:
            return False
        _stop(home, presence, kill_sandboxes=kill_sandboxes)
        return True


def status(home: Path) -> Mapping[str, object] | None:
    """What the engine says of itself (``GET /nexus/status``), or None when it is not running."""
    home = home.absolute()
    if read_presence(home) is None:
        return None
    answer = _request(_settings(home), "GET", "/nexus/status")
    return answer if isinstance(answer, dict) else None


def control(home: Path, method: str, path: str, body: object = None) -> object:
    """Ask the running engine for something of its own: ``/nexus/faults``, ``/nexus/limits``. Raises DaemonError."""
    home = home.absolute()
    if read_presence(home) is None:
        raise DaemonError("the local engine is not running; start it with «nexus local start»")
    return _request(_settings(home), method, path, body)


def log_file(home: Path) -> Path:
    """The daemon's log, which need not exist yet."""
    return home / "logs" / "daemon.log"


def logs(home: Path, lines: int = 100) -> list[str]:
    """The last lines of the daemon's log."""
    path = log_file(home)
    if not path.is_file():
        return []
    return path.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:]


def follow_logs(home: Path, lines: int, *, poll: float = 0.2) -> Iterator[str]:
    """The last lines of the daemon's log, then every new one as it comes, for ever; a log that is rotated goes on."""
    path = log_file(home)
    file: BinaryIO | None = None
    pending, latest = b"", lines
    try:
        while True:
            if file is None and path.is_file():
                file = path.open("rb")
            is_old = file is not None and not _is_at(path, file)
            data = file.read() if file is not None else b""
            *whole, pending = (pending + data).split(b"\n")
            for line in whole[-latest:] if latest else whole:
                yield line.decode(errors="replace")
            latest = 0
            if file is not None and is_old and not data:
                file.close()
                file = None
            elif not data:
                time.sleep(poll)
    finally:
        if file is not None:
            file.close()


def _is_at(path: Path, file: BinaryIO) -> bool:
    try:
        return path.stat().st_ino == os.fstat(file.fileno()).st_ino
    except FileNotFoundError:
        return False


def reset(home: Path) -> bool:
    """End the engine, its sandboxes, templates and volumes, and remove its home; False when there is no engine.

    The home is gone when this returns; what it held leaves the disk in the background, however much it is.
    """
    home = home.absolute()
    if not is_engine_home(home):
        return False
    settings = _settings(home)
    stop(home, kill_sandboxes=True)
    remove_tree(settings.runtime)
    remove_aside(home)
    return True


def client_environment(home: Path, environment: Mapping[str, str]) -> dict[str, str]:
    """The variables for E2B's clients beside those of ``environment``. Raises DaemonError, OSError."""
    return client_variables(_settings(home), environment)


def _settings(home: Path) -> Settings:
    settings = load_settings(home)
    if settings is None:
        raise DaemonError(f"there is no engine in {home}")
    return settings


def _endpoint(settings: Settings, presence: Presence) -> Endpoint:
    return Endpoint(
        api_url=settings.api_url,
        sandbox_url=settings.sandbox_url,
        api_key=settings.api_key,
        engine_id=settings.engine_id,
        pid=presence.pid,
        version=presence.version,
        home=settings.home,
    )


def _presence(home: Path) -> Presence | None:
    """The daemon that is up, or comes up: who started it may have been interrupted. The caller holds the start lock."""
    deadline = time.monotonic() + START_LIMIT
    while (presence := read_presence(home)) is None and is_held(home) and time.monotonic() < deadline:
        time.sleep(_POLL)
    return presence


def _choose_isolation(home: Path, name: str, *, is_running: bool) -> None:
    """Sandboxes cannot move from one tier to another, so a running engine keeps its own."""
    if is_running and name != AUTOMATIC:
        tier = (status(home) or {}).get("tier")
        if tier != name:
            raise DaemonError(
                f"the local engine runs with isolation {tier}, and its sandboxes cannot change to {name}; "
                "end them first: nexus local stop --kill-sandboxes"
            )
    choose(home, name)


def _start(home: Path, *, test_controls: bool) -> Presence:
    """Start a detached daemon and wait until it is ready. The caller holds the start lock."""
    log_folder = home / "logs"
    log_folder.mkdir(parents=True, exist_ok=True)
    first_words = log_folder / "startup.log"
    with first_words.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "nexus.local", "--home", str(home)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            close_fds=True,
            cwd="/",
            env=_environment(test_controls=test_controls),
        )
    let_outlive(process)
    deadline = time.monotonic() + START_LIMIT
    while time.monotonic() < deadline:
        if (presence := read_presence(home)) is not None:
            return presence
        if (code := process.poll()) is not None:
            raise DaemonError(f"the local engine did not start (exit status {code})\n{_last_words(first_words, home)}")
        time.sleep(_POLL)
    process.kill()
    process.wait()
    raise DaemonError(f"the local engine was not ready within {START_LIMIT:g} s\n{_last_words(first_words, home)}")


def _environment(*, test_controls: bool) -> dict[str, str]:
    passed = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    # A source tree that is not installed has to be found from the daemon's folder too, and what it needs beside it.
    search = [str(Path(nexus.__file__).parent.parent), os.environ.get("PYTHONPATH", "")]
    passed["PYTHONPATH"] = os.pathsep.join(filter(None, search))
    if test_controls:
        passed["NEXUS_LOCAL_FAULTS"] = "1"
    return passed


def _last_words(first_words: Path, home: Path) -> str:
    text = first_words.read_text(encoding="utf-8", errors="replace").strip()
    return "\n".join((text or "\n".join(logs(home, 20))).splitlines()[-20:])


def _stop(home: Path, presence: Presence, *, kill_sandboxes: bool) -> None:
    """Ask, then insist. The caller holds the start lock."""
    try:
        _request(_settings(home), "POST", "/nexus/shutdown", {"killSandboxes": kill_sandboxes})
    except DaemonError:
        if kill_sandboxes:
            raise
        _signal(presence, signal.SIGTERM)
    if not _wait_until_free(home, STOP_LIMIT):
        _signal(presence, signal.SIGKILL)
        if not _wait_until_free(home, STOP_LIMIT):
            raise DaemonError(f"the local engine (process {presence.pid}) does not stop")


def _wait_until_free(home: Path, limit: float) -> bool:
    deadline = time.monotonic() + limit
    while is_held(home):
        reap()
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL)
    return True


def _signal(presence: Presence, number: signal.Signals) -> None:
    if presence.is_alive():
        os.kill(presence.pid, number)


def _request(settings: Settings, method: str, path: str, body: object = None) -> object:
    connection = http.client.HTTPConnection(HOST, settings.api_port, timeout=_REQUEST_LIMIT)
    try:
        connection.request(method, path, json.dumps({} if body is None else body), {"X-API-KEY": settings.api_key})
        response = connection.getresponse()
        text = response.read()
        if response.status >= 300:
            raise DaemonError(f"the local engine answered {response.status}: {text.decode(errors='replace')}")
        return json.loads(text) if text else None
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise DaemonError(f"the local engine does not answer: {error}") from error
    finally:
        connection.close()
