"""The composition root: what was said outside (flags, environment, manifest) becomes a provider, stores, a clock, ids.

Nothing below this floor reads the environment, and nothing but this module knows which provider there is.
"""

from __future__ import annotations

import asyncio
import getpass
import os
import socket
import uuid
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from nexus.executor import SystemClock
from nexus.model.diagnostics import DiagnosticsError, error
from nexus.model.environments import Environment
from nexus.model.values import reveal
from nexus.stores import Backend, LocalResults, LockInfo
from nexus.workflows.loading import Project
from nexus.workflows.session import Session, Stores, nothing_remembered

if TYPE_CHECKING:
    from nexus.providers.e2b import E2BProvider
    from nexus.providers.e2b.connection import Settings as ConnectionSettings


class TargetKind(StrEnum):
    LOCAL = "local"
    E2B = "e2b"


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Where sandboxes live, and what decided it."""

    kind: TargetKind
    because: str


def choose_target(
    environment: Mapping[str, str], provider: Mapping[str, object], *, asked: str | None = None
) -> Choice:
    """What was ``asked`` for, then ``NEXUS_TARGET``, then the manifest; where none of them says, E2B if there is a key.

    Raises DiagnosticsError when there is no such target.
    """
    if asked:
        return Choice(kind=_kind(asked, "the target"), because="it was asked for")
    if said := environment.get("NEXUS_TARGET"):
        return Choice(kind=_kind(said, "NEXUS_TARGET"), because="NEXUS_TARGET")
    if written := provider.get("target"):
        return Choice(kind=_kind(str(written), "provider.target"), because="the manifest")
    if environment.get("E2B_API_KEY"):
        return Choice(kind=TargetKind.E2B, because="E2B_API_KEY is set")
    return Choice(kind=TargetKind.LOCAL, because="E2B_API_KEY is not set")


def _kind(text: str, source: str) -> TargetKind:
    try:
        return TargetKind(text)
    except ValueError:
        raise DiagnosticsError(
            error("unknown-target", f"There is no target «{text}»", hint=f"{source} is one of: local, e2b")
        ) from None


def home(environment: Mapping[str, str]) -> Path:
    """Where what belongs to the machine lives: the local engine's store, caches, logs."""
    if said := environment.get("NEXUS_HOME"):
        return Path(said).expanduser().absolute()
    data = environment.get("XDG_DATA_HOME") or "~/.local/share"
    return Path(data).expanduser().absolute() / "nexus"


@asynccontextmanager
async def open_session(
    project: Project,
    environment: Mapping[str, str],
    backend: Backend,
    *,
    target: str | None = None,
    backend_of: Callable[[Environment], Backend] = nothing_remembered,
) -> AsyncIterator[Session]:
    """Everything a workflow works with, for one project. Starts the local engine when it is the target.

    ``target`` is the one that was asked for, if any. ``backend_of`` is as in :class:`Session`.
    """
    choice = choose_target(environment, project.provider_settings, asked=target)
    secrets: list[str] = []
    provider = await connect(choice, environment, secrets=lambda: secrets)
    try:
        yield Session(
            provider=provider,
            backend=backend,
            clock=SystemClock(),
            ids=new_id,
            holder=new_holder,
            keep_secret=lambda values: secrets.extend(str(reveal(value)) for value in values),
            because=choice.because,
            backend_of=backend_of,
        )
    finally:
        await provider.aclose()


def stores_over(backend: Backend) -> Stores:
    """What is remembered there, to be changed."""
    return Stores(backend=backend, holder=new_holder)


async def connect(
    choice: Choice, environment: Mapping[str, str], *, secrets: Callable[[], Iterable[str]] = tuple
) -> E2BProvider:
    """As :func:`open_provider`, without keeping an event loop from other work while the local engine starts."""
    return await asyncio.to_thread(open_provider, choice, environment, secrets=secrets)


def open_provider(
    choice: Choice,
    environment: Mapping[str, str],
    *,
    secrets: Callable[[], Iterable[str]] = tuple,
) -> E2BProvider:
    """The one provider, connected to what was chosen. ``secrets`` are taken out of whatever it reports."""
    from nexus.providers.e2b import E2BProvider

    results = LocalResults(home(environment) / "cache" / "steps")
    match choice.kind:
        case TargetKind.LOCAL:
            return E2BProvider(_local_connection(environment), secrets=secrets, results=results)
        case TargetKind.E2B:
            return E2BProvider(_e2b_connection(environment), secrets=secrets, results=results)


def _local_connection(environment: Mapping[str, str]) -> ConnectionSettings:
    from nexus.local import daemon
    from nexus.local.settings import SettingsError
    from nexus.providers.e2b.connection import Settings as ConnectionSettings

    try:
        endpoint = daemon.ensure_running(home(environment))
    except (daemon.DaemonError, SettingsError, OSError) as problem:
        raise DiagnosticsError(
            error(
                "engine-unavailable",
                "The local engine can't be started",
                detail=str(problem),
                hint="«nexus local doctor» says what is missing, and what mends it",
            )
        ) from problem
    return ConnectionSettings(
        api_key=endpoint.api_key,
        api_url=endpoint.api_url,
        sandbox_url=endpoint.sandbox_url,
        is_local=True,
        account=endpoint.engine_id,
    )


def _e2b_connection(environment: Mapping[str, str]) -> ConnectionSettings:
    from nexus.providers.e2b.connection import DEFAULT_DOMAIN
    from nexus.providers.e2b.connection import Settings as ConnectionSettings

    key = environment.get("E2B_API_KEY")
    if not key:
        raise DiagnosticsError(
            error(
                "no-api-key",
                "E2B is the target, but there is no API key",
                hint="set E2B_API_KEY, or use the local engine with --local",
            )
        )

    return ConnectionSettings(
        api_key=key,
        domain=environment.get("E2B_DOMAIN") or DEFAULT_DOMAIN,
        api_url=environment.get("E2B_API_URL") or None,
        sandbox_url=environment.get("E2B_SANDBOX_URL") or None,
    )


def engine_runs(environment: Mapping[str, str]) -> bool:
    """Whether the local engine is up; starts nothing."""
    from nexus.local import daemon

    return daemon.is_running(home(environment))


def new_id() -> str:
    """Unique, lower-case, and good for an Idempotency-Key."""
    return uuid.uuid4().hex


def new_holder(operation: str) -> LockInfo:
    """How this process calls itself as the holder of a lock, each time anew."""
    from datetime import UTC, datetime

    since = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    return LockInfo(
        holder=f"{_user()}@{socket.gethostname()}",
        pid=os.getpid(),
        operation=operation,
        since=since,
        id=new_id()[:12],
    )


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())
