"""What is remembered: the state, and the outputs in it. Needs no valid manifest."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from nexus.manifest import Manifest, find_project, read
from nexus.model.addresses import Address
from nexus.model.diagnostics import DiagnosticsError, Severity, error
from nexus.model.environments import Environment
from nexus.model.state import OutputRecord, ResourceRecord, State
from nexus.model.suggestions import did_you_mean
from nexus.schema.state_place import StatePlace, state_place
from nexus.stores import Backend, SharedDocument, last_place, load, open_backend, open_document

NO_LINEAGE = "none"


def backend_of(folder: Path, environment: str, process: Mapping[str, str]) -> Backend:
    """The stores of the project at ``folder`` (or above it), where its manifest keeps them.

    ``process`` is the environment that credentials and keys are in.
    """
    wanted = Environment.parse(environment)
    found = read(find_project(folder), environment=wanted.base)
    return open_backend(place_of(found, wanted.name), found.root, wanted.name, process)


def document_of(
    folder: Path, environment: str, beside: str, name: str, process: Mapping[str, str]
) -> SharedDocument | None:
    """A small document beside an environment's state; None where the state is on this machine alone.

    As :meth:`nexus.AsyncProject.document_beside`, for those who have the project's files and none of its secrets.
    """
    wanted = Environment.parse(environment)
    found = read(find_project(folder), environment=wanted.base)
    return open_document(place_of(found, wanted.name), found.root, f"{wanted.name}.{beside}", name, process)


def place_of(manifest: Manifest, environment: str) -> StatePlace:
    """Where its state is kept; of one that can't be read now, where the state was last used."""
    if "state" not in manifest.values and any(item.severity is Severity.ERROR for item in manifest.diagnostics):
        return last_place(manifest.root, environment) or StatePlace()
    return state_place(manifest)


async def read_state(backend: Backend) -> State:
    """What is known now, an interrupted run's journal included; an empty state where nothing was applied."""
    return (await load(backend, State(lineage=NO_LINEAGE))).state


def record_of(state: State, address: Address) -> ResourceRecord:
    """Raises DiagnosticsError, naming the nearest address, when the state has no such resource."""
    record = state.resources.get(address)
    if record is None:
        raise DiagnosticsError(
            error(
                "not-in-state",
                f"The state has no {address}",
                hint=did_you_mean(str(address), map(str, state.resources)) or "«nexus state list» shows what there is",
            )
        )
    return record


def output_of(state: State, name: str) -> OutputRecord:
    """Raises DiagnosticsError, naming the nearest output, when there is no such one."""
    output = state.outputs.get(name)
    if output is None:
        raise DiagnosticsError(
            error(
                "unknown-output",
                f"There is no output «{name}»",
                hint=did_you_mean(name, state.outputs) or "outputs exist once they were applied",
            )
        )
    return output


def sandbox_named(state: State, text: str) -> ResourceRecord | None:
    """The sandbox that a person means by ``text``: an address, a name, ``name[key]``, or E2B's id.

    None when the state knows no such sandbox.
    """
    wanted = text.removeprefix("sandbox.").replace('"', "").replace("'", "")
    for address, record in state.resources.items():
        if address.kind != "sandbox":
            continue
        if wanted == address.short or text in (str(address), record.id):
            return record
    return None
