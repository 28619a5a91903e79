"""Use case: one sandbox outside of any project, made as a manifest's would be.

Its wish becomes a manifest of one block, which is planned and applied with a memory that ends with the call. So its
template is taken from the catalogue (and built on first use), it starts with a short lease until it is whole, and its
variables are secrets. It bears no marks of a project: what becomes of it is up to its owner, and a block of any project
may take it over.
"""

from __future__ import annotations

import asyncio
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from nexus.expressions import escaped
from nexus.kinds.definitions import definition
from nexus.manifest import Manifest
from nexus.model.addresses import Address
from nexus.model.changes import PlanOptions
from nexus.model.diagnostics import Diagnostic, DiagnosticsError, Severity
from nexus.model.events import Event, Sink
from nexus.model.state import ResourceRecord
from nexus.model.values import Value
from nexus.providers.operating import LiveSandbox, Operator
from nexus.workflows.applying import Applied, ApplyRequest, apply
from nexus.workflows.importing import manifest_for
from nexus.workflows.loading import LoadRequest, Project, expand
from nexus.workflows.operating import DEFAULT_TIMEOUT, about
from nexus.workflows.session import Session

_NAME: Final = "sandbox"
"""What the block is called where the wish has no name that a block may have."""
_OUTSIDE: Final = "none"
"""Stands for the project while the manifest is checked, which has to name one."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Wish:
    """What is wanted. ``timeout`` in seconds. Never printed: the values of ``env_vars`` are secrets."""

    template: str = "base"
    name: str = ""
    timeout: int = DEFAULT_TIMEOUT
    env_vars: Mapping[str, str] = field(default_factory=dict)
    install_packages: Sequence[str] = ()
    startup_script: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Created:
    """``address`` is one that fits it, should a project take it over with ``block``; ``url`` is that of ``port``."""

    sandbox: LiveSandbox
    address: Address
    block: str
    port: int
    url: str

    @property
    def adoption(self) -> str:
        """The command that takes it over, once ``block`` is in the manifest."""
        return f"nexus import {shlex.quote(str(self.address))} {self.sandbox.id}"


def project_of(wish: Wish, process: Mapping[str, str]) -> Project:
    """The project of the one sandbox. Raises DiagnosticsError when there is something wrong with the wish."""
    name = _block_name(wish.name)
    # Texts that are empty can't be secrets, and need not be.
    secrets = {f"value_{number}": item for number, item in enumerate(wish.env_vars.items()) if item[1]}
    block: dict[str, Value] = {
        "template": escaped(wish.template),
        "timeout": wish.timeout,
        "env_vars": {
            **dict.fromkeys(wish.env_vars, ""),
            **{key: f"${{{{ secrets.{secret} }}}}" for secret, (key, _) in secrets.items()},
        },
        "packages": [escaped(item) for item in wish.install_packages],
        "metadata": {key: escaped(value) for key, value in _metadata(wish).items()},
    }
    if wish.startup_script.strip():
        block["startup_script"] = escaped(wish.startup_script)
    values: dict[str, Value] = {
        "apiVersion": "nexus/v1",
        "project": _OUTSIDE,
        "secrets": {secret: {"env": secret} for secret in secrets},
        "sandboxes": {name: block},
    }
    manifest = Manifest(root=Path(), files=(), values=values)
    own = {secret: value for secret, (_, value) in secrets.items()}
    loaded = expand(manifest, LoadRequest(path=manifest.root, process={**process, **own}))
    return replace(loaded, name="")


async def create_sandbox(project: Project, session: Session, operator: Operator, sink: Sink) -> Created:
    """Make it, with everything that is to be in it. A failure, or being cancelled, leaves nothing behind.

    ``session`` remembers nothing. Raises DiagnosticsError.
    """
    try:
        applied = await _apply(project, session, PlanOptions(), sink)
        if applied.result is None or not applied.result.succeeded:
            raise DiagnosticsError(_problems(applied))
        (record,) = (item for item in applied.result.state.resources.values() if item.address.kind == "sandbox")
        return await _describe(session, operator, record)
    except BaseException:
        # Nobody would know of it: what is half made is of no use, and costs until its time is up.
        with suppress(DiagnosticsError):  # what went wrong first is what is to be told
            await asyncio.shield(_apply(project, session, PlanOptions(destroy=True), _unheard))
        raise


async def _describe(session: Session, operator: Operator, record: ResourceRecord) -> Created:
    port = _port_of(str(record.attributes.get("template") or ""))
    with about(None):
        live, url = await asyncio.gather(operator.look(record.id), operator.url(record.id, port))
    block = await manifest_for(session, record.address, record.id)
    return Created(sandbox=live, address=record.address, block=block, port=port, url=url)


async def _apply(project: Project, session: Session, options: PlanOptions, sink: Sink) -> Applied:
    request = ApplyRequest(options=options)
    return await apply(project, session, request, approve=lambda _: True, sink=sink, bind_interrupt=_uninterrupted)


def _problems(applied: Applied) -> Sequence[Diagnostic]:
    errors = [item for item in applied.diagnostics if item.severity is Severity.ERROR]
    return errors or applied.diagnostics


def _uninterrupted(interrupt: Callable[[], None]) -> None:
    """Who gives up waiting cancels."""


def _unheard(event: Event) -> None:
    """Nobody listens while things are cleared away."""


def _metadata(wish: Wish) -> Mapping[str, str]:
    return {**({"name": wish.name} if wish.name else {}), **wish.metadata}


def _block_name(name: str) -> str:
    """The name as one that a block may have."""
    fitting = re.sub(r"[^A-Za-z0-9_-]+", "-", name).strip("-_")
    return fitting if re.match(r"[A-Za-z]", fitting) else _NAME


_DEFAULT_PORT: Final = 3000


def _port_of(template: str) -> int:
    """Where the template's own server listens, or else where most do."""
    found = definition(template.removeprefix("nexus-").partition(":")[0])
    return _DEFAULT_PORT if found is None or found.ready_port is None else found.ready_port
