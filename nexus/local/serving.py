"""The daemon's own process: locks its home, opens the engine, serves until told to stop.

``python -m nexus.local --home PATH``; people use ``nexus local`` instead, which calls :mod:`nexus.local.daemon`.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import logging.handlers
import os
import signal
import socket
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import uvicorn

from nexus.local.app import create_app
from nexus.local.control_plane.faults import DroppableProtocol
from nexus.local.documents import clear_leftovers
from nexus.local.engine import Engine, EngineOptions
from nexus.local.home_check import check_home
from nexus.local.identity import code_mark
from nexus.local.isolation.keeper import REACHABLE_CHECK
from nexus.local.isolation.probe import NoIsolationError, select_isolation
from nexus.local.isolation_choice import chosen
from nexus.local.limits.model import Limits
from nexus.local.ports import hold_ports
from nexus.local.presence import HomeLockedError, Presence, hold_home, write_presence
from nexus.local.settings import Settings, SettingsError, create_settings, is_engine_home
from nexus.local.storage import ballast
from nexus.local.storage.removal import remove_tree
from nexus.local.storage.space import DiskLimits

_LOG_BYTES, _LOG_FILES = 5 * 1024 * 1024, 3
_KEEP_ALIVE = 75
_GRACE = 5

_log = logging.getLogger(__name__)


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers: the daemon has its own."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m nexus.local", description="Run the local engine's daemon.")
    parser.add_argument("--home", type=Path, required=True)
    home: Path = parser.parse_args(arguments).home.absolute()
    # Whatever that of the shell is: what machines are made of has to be readable to their users.
    os.umask(0o022)
    # Before anything changes: the mark is of what has been imported.
    code_mark()
    try:
        options = options_from(os.environ)
        settings = create_settings(home)
        with hold_home(home):
            was_full = ballast.drop_if_needed(home)
            _close_to_others(settings)
            _log_to(settings.logs)
            if was_full:
                _log.warning("the disk is full; the engine starts with what it had kept for this")
            ballast.take_if_possible(home)
            check_home(settings)
            asyncio.run(_run(settings, options))
    except (SettingsError, HomeLockedError, NoIsolationError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except OSError as error:
        _log.exception("the engine cannot go on")
        sys.stderr.write(f"the engine in {home} cannot go on: {error}\n")
        return 1
    except Exception as error:
        _log.exception("the engine cannot go on")
        what = f"{type(error).__name__}: {error}"
        sys.stderr.write(f"the engine in {home} cannot go on ({what}); {home / 'logs/daemon.log'} has the details\n")
        return 1
    return 0


def _close_to_others(settings: Settings) -> None:
    """Nobody else of this host may enter what sandboxes write, even in a home that was made open.

    Their root can leave set-uid programs there that belong to root of the host.
    """
    for folder in (settings.store, settings.records, settings.archives, settings.volumes, settings.logs):
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)


async def _run(settings: Settings, options: EngineOptions) -> None:
    settings, ports = hold_ports(settings)
    clear_leftovers(settings.home)
    wanted = chosen(settings.home, os.environ)
    isolation = await select_isolation(settings.store, settings.runtime, logs=settings.logs, wanted=wanted)
    if isolation.lacks:
        _log.warning("isolation %s does not keep everything apart: %s", isolation.tier, "; ".join(isolation.lacks))
    try:
        await isolation.set_forward_port(settings.forward_port)
        engine = Engine(settings, isolation, options)
        await engine.open(ports.edge, lambda: [entry.name for entry in isolation.store.uppers.iterdir()])
        await _serve(engine, ports.api)
    finally:
        await isolation.close()
        ports.forwards.close()
        if not is_engine_home(settings.home):
            remove_tree(settings.runtime)


async def _serve(engine: Engine, listening: socket.socket) -> None:
    """Serve an open engine until it is asked to stop, then close it."""
    settings = engine.settings
    stop = _Stop()
    engine.request_shutdown = stop.ask
    server = _Server(
        uvicorn.Config(
            create_app(engine),
            http=DroppableProtocol,
            loop="asyncio",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=_KEEP_ALIVE,
            timeout_graceful_shutdown=_GRACE,
        )
    )
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    write_presence(Presence.of_this_process(settings))
    _log.info("engine %s serves on %s, tier %s", settings.engine_id, settings.api_url, engine.isolation.tier)
    watching = asyncio.create_task(_end_without_home(settings, stop))
    await stop.wait(serving)
    watching.cancel()
    server.should_exit = True
    await serving
    await engine.close(kill_sandboxes=stop.kill_sandboxes)
    _log.info("engine stopped")


async def _end_without_home(settings: Settings, stop: _Stop) -> None:
    """Nobody can reach an engine whose home was removed by hand, nor can it keep anything; its machines end as well."""
    while True:
        await asyncio.sleep(REACHABLE_CHECK)
        if not is_engine_home(settings.home):
            stop.ask(kill_sandboxes=True)


def options_from(environment: Mapping[str, str]) -> EngineOptions:
    """``NEXUS_LOCAL_MAX_TIMEOUT`` (seconds) bounds lifetimes; ``NEXUS_LOCAL_FAULTS`` makes the clock movable.

    ``NEXUS_LOCAL_MIN_FREE_MB``, ``NEXUS_LOCAL_MAX_DISK_MB`` and ``NEXUS_LOCAL_MAX_SANDBOX_DISK_MB`` are the limits of
    :class:`DiskLimits`.
    """
    longest = _number_from(environment, "NEXUS_LOCAL_MAX_TIMEOUT", "seconds", low=1)
    floor = _number_from(environment, "NEXUS_LOCAL_MIN_FREE_MB", "MiB", low=0)
    return EngineOptions(
        limits=Limits(max_timeout=longest) if longest else Limits(),
        disk=DiskLimits(
            min_free_mb=DiskLimits().min_free_mb if floor is None else floor,
            engine_mb=_number_from(environment, "NEXUS_LOCAL_MAX_DISK_MB", "MiB", low=1),
            sandbox_mb=_number_from(environment, "NEXUS_LOCAL_MAX_SANDBOX_DISK_MB", "MiB", low=1),
        ),
        test_controls=environment.get("NEXUS_LOCAL_FAULTS", "") not in ("", "0"),
    )


def _number_from(environment: Mapping[str, str], name: str, unit: str, *, low: int) -> int | None:
    text = environment.get(name)
    if text is None:
        return None
    if not text.isdecimal() or int(text) < low:
        raise SettingsError(f"{name} must be a number of {unit}, not {text!r}")
    return int(text)


class _Stop:
    """The wish to stop, from a signal or a request."""

    def __init__(self) -> None:
        self._asked = asyncio.Event()
        self.kill_sandboxes = False
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.ask, False)

    def ask(self, kill_sandboxes: bool) -> None:
        self.kill_sandboxes = self.kill_sandboxes or kill_sandboxes
        self._asked.set()

    async def wait(self, serving: asyncio.Task[None]) -> None:
        """Return when asked to stop, or when the server ended by itself."""
        asked = asyncio.create_task(self._wait_asked())
        await asyncio.wait({asked, serving}, return_when=asyncio.FIRST_COMPLETED)
        asked.cancel()

    async def _wait_asked(self) -> None:
        await self._asked.wait()


def _log_to(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    handler = logging.handlers.RotatingFileHandler(
        folder / "daemon.log", maxBytes=_LOG_BYTES, backupCount=_LOG_FILES, encoding="utf-8"
    )
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    for noisy in ("uvicorn", "asyncio"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
