"""Use cases on one live sandbox: find the one that is meant, run code in it. No state is changed, and no valid manifest
is needed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from nexus import manifest
from nexus.manifest import Manifest
from nexus.model.addresses import Address
from nexus.model.diagnostics import Diagnostic, DiagnosticsError, error
from nexus.model.environments import Environment
from nexus.model.state import ResourceRecord, State
from nexus.model.suggestions import did_you_mean
from nexus.model.values import Value
from nexus.providers.base import Gone, ProviderError
from nexus.providers.failures import (
    EXECUTION_ERROR,
    EXECUTION_TIMEOUT,
    INSUFFICIENT_RESOURCES,
    SANDBOX_NOT_FOUND,
    shortage,
    shortage_hint,
)
from nexus.providers.operating import Executed, Execution, LiveSandbox, Operator
from nexus.workflows.outputs import backend_of, read_state, sandbox_named

DEFAULT_TIMEOUT: Final = 3600
_LOOKS_LIKE_AN_ID: Final = re.compile(r"[a-z0-9]{15,}(-[a-z0-9]+)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a command stands: in a project's environment, or (then all is empty) outside of any.

    ``target`` is where sandboxes are looked for.
    """

    target: str = ""
    project: str = ""
    environment: str = ""
    manifest: Manifest | None = None
    state: State | None = None

    @property
    def is_billed(self) -> bool:
        """Whether what runs there costs anything."""
        return self.target != "local"

    @property
    def provider_settings(self) -> Mapping[str, object]:
        """The section ``provider`` as written."""
        section = None if self.manifest is None else self.manifest.values.get("provider")
        return section if isinstance(section, dict) else {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sandbox:
    """The sandbox that a person meant. ``user`` is the one that things run as in it; ``address`` "" for a stranger.

    ``timeout`` is how many seconds it is given when it starts.
    """

    id: str
    address: str = ""
    user: str = "user"
    timeout: int = DEFAULT_TIMEOUT

    def __str__(self) -> str:
        return self.address or self.id


async def find_place(folder: Path, environment: str, process: Mapping[str, str]) -> Place:
    """The project at ``folder`` (or above it), as far as it can be read; none is no error.

    ``process`` is the environment that the state's credentials are in.
    """
    try:
        root = manifest.find_project(folder).parent.resolve()
    except DiagnosticsError:
        return Place()
    wanted = Environment.parse(environment)
    state = await read_state(backend_of(root, environment, process))
    try:
        read = manifest.read(root, environment=wanted.base)
    except DiagnosticsError:
        # A manifest that can't be read now must not keep anybody from looking at what it made.
        return Place(project=state.project, environment=wanted.name, state=state)
    return Place(project=read.project or state.project, environment=wanted.name, manifest=read, state=state)


def available_secrets(place: Place, process: Mapping[str, str]) -> tuple[Value, ...]:
    """The project's secrets that can be had right now; nobody is told of the others."""
    if place.manifest is None:
        return ()
    values, _ = manifest.resolve_secrets(place.manifest, process)
    return tuple(values.values())


async def find_sandbox(place: Place, operator: Operator, text: str) -> Sandbox:
    """The sandbox that ``text`` means: a name, ``name[key]`` or an address of the project, or any id at E2B.

    Raises DiagnosticsError with the nearest name when there is none.
    """
    state = place.state or State(lineage="")
    record = sandbox_named(state, text)
    if record is not None:
        return _declared(record)
    if _LOOKS_LIKE_AN_ID.fullmatch(text):
        try:
            live = await operator.look(text)
        except Gone as problem:
            raise DiagnosticsError(_not_found(place, text)) from problem
        except ProviderError as problem:
            raise DiagnosticsError(problem.diagnostic) from problem
        return Sandbox(id=live.id, address=live.address)
    raise DiagnosticsError(_not_found(place, text))


def as_known(place: Place, found: Iterable[LiveSandbox]) -> list[LiveSandbox]:
    """Live sandboxes as the state has them.

    By their addresses there, as marks can't be changed, and may be old; and with the templates that were asked for,
    where they were made from the shared setup of a block.
    """
    known = {item.id: item for item in (place.state.resources.values() if place.state else ())}
    return [_as_recorded(item, known[item.id]) if item.id in known else item for item in found]


def _as_recorded(item: LiveSandbox, record: ResourceRecord) -> LiveSandbox:
    template = record.attributes.get("template")
    asked = template.rpartition("/")[2].partition(":")[0] if isinstance(template, str) else item.template
    return replace(item, address=str(record.address), template=asked)


async def seen_now(operator: Operator, sandbox: Sandbox) -> LiveSandbox:
    """The sandbox as it is now, under the address that it is known by."""
    live = await operator.look(sandbox.id)
    return replace(live, address=sandbox.address or live.address)


def _declared(record: ResourceRecord) -> Sandbox:
    user, timeout = record.attributes.get("user"), record.attributes.get("timeout")
    return Sandbox(
        id=record.id,
        address=str(record.address),
        user=user if isinstance(user, str) else "user",
        timeout=timeout if isinstance(timeout, int) else DEFAULT_TIMEOUT,
    )


def _not_found(place: Place, text: str) -> Diagnostic:
    known = _sandboxes(place)
    instances = [address.short for address in known if address.name == text.removeprefix("sandbox.")]
    if instances:
        hint = f"it has several instances: {', '.join(instances)}"
    elif place.state is None:
        hint = "outside of a project a sandbox is named by its id; «nexus list» shows them"
    elif not known and place.project:
        hint = "«nexus apply» makes what the manifest declares; «nexus list --all» shows the sandboxes of the account"
    else:
        names = [address.short for address in known]
        hint = did_you_mean(text.removeprefix("sandbox."), names) or "«nexus list» shows what there is"
    detail = f"The state of {place.project}, environment {place.environment}, has none." if place.state else ""
    return error(SANDBOX_NOT_FOUND, f"There is no sandbox «{text}»", detail=detail, hint=hint)


def _sandboxes(place: Place) -> list[Address]:
    return [] if place.state is None else sorted(item for item in place.state.resources if item.kind == "sandbox")


async def execute(
    operator: Operator, sandbox: Sandbox, execution: Execution, on_output: Callable[[str, str], None]
) -> Executed:
    """Run code to its end. Being cancelled ends it in the sandbox too."""
    with about(sandbox):
        return await operator.execute(sandbox.id, execution, on_output)


def problem_of(executed: Executed, sandbox: Sandbox) -> Diagnostic | None:
    """What is wrong with code that did not end well; None where it did."""
    if executed.timed_out:
        return error(
            EXECUTION_TIMEOUT,
            f"The time was up after {executed.seconds:.1f}s",
            detail="Every process that the code had started was ended.",
            hint="allow more time, or see with «nexus logs» what it waited for",
            address=sandbox.address,
        )
    if executed.exit_code == 0:
        return None
    short_of = shortage(executed.exit_code, executed.stderr or executed.stdout)
    if short_of is not None:
        return error(
            INSUFFICIENT_RESOURCES,
            f"The code ran out of {short_of}, as it seems (exit code {executed.exit_code})",
            hint=shortage_hint(short_of),
            address=sandbox.address,
        )
    return error(
        EXECUTION_ERROR,
        f"The code ended with exit code {executed.exit_code}",
        hint="its output on stderr says why",
        address=sandbox.address,
    )


@contextmanager
def about(sandbox: Sandbox | None) -> Iterator[None]:
    """A provider's refusal as what is wrong, under the name that the person used."""
    try:
        yield
    except ProviderError as problem:
        named = problem.diagnostic
        if sandbox is not None and sandbox.address:
            detail = named.detail.replace(sandbox.id, sandbox.address)
            named = replace(named, address=sandbox.address, detail=detail)
        raise DiagnosticsError(named) from problem


def check_target(place: Place, kind: str) -> None:
    """Raises DiagnosticsError when the state's sandboxes live elsewhere than where we would look for them."""
    state = place.state
    if state is None or state.target is None or state.is_empty or state.target.kind == kind:
        return
    raise DiagnosticsError(
        error(
            "target-mismatch",
            "The state belongs to another target",
            detail=f"What it knows lives on {state.target}; this command would look at {kind}.",
            hint="choose the target with --local or NEXUS_TARGET, or another environment with -e",
        )
    )
