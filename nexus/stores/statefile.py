"""The state file: one versioned JSON document. Older versions are brought up to date, newer ones refused by name."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from nexus import __version__
from nexus.model.addresses import AddressError
from nexus.model.state import STATE_VERSION, State
from nexus.stores import records
from nexus.stores.checks import Version
from nexus.stores.failures import damaged, too_new
from nexus.stores.records import Json, ShapeError

WRITER: Final = f"nexus {__version__}"

Upgrade = Callable[[Json], Json]

UPGRADES: Final[Mapping[int, Upgrade]] = {}
"""From version N to N + 1, by N. Each gets and returns a whole document, and is covered by a pair of fixtures."""

_HINT = "put an older one back («nexus state versions», or state.json.backup beside it), or «nexus state rebuild»"


def encode(state: State) -> bytes:
    """The file's content. Raises TypeError when a secret is anywhere in it: that is a fault of nexus."""
    document: Json = {
        "version": STATE_VERSION,
        "written_by": WRITER,
        "lineage": state.lineage,
        "serial": state.serial,
        "project": state.project,
        "environment": state.environment,
        "target": records.target_to_json(state.target),
        "resources": [records.record_to_json(record) for record in state.resources.values()],
        "deposed": [records.record_to_json(record) for record in state.deposed],
        "pending": [records.intent_to_json(intent) for intent in state.pending],
        "outputs": {name: records.output_to_json(output) for name, output in state.outputs.items()},
        "trees": records.trees_to_json(state.trees),
    }
    if state.history:
        document["history"] = [records.history_to_json(entry) for entry in state.history]
    return _laid_out(document)


def fenced(content: bytes, fence: str) -> bytes:
    """The same document, however old or new, with another ``fence`` in it. Raises like :func:`decode`.

    Only a store looks at it (:mod:`nexus.stores.remote.fencing`); what is written next has none.
    """
    with _damage_explained("the state"):
        return _laid_out({**records.mapping(json.loads(content), "the document"), "fence": fence})


def decode(content: bytes, path: str = "the state", upgrades: Mapping[int, Upgrade] | None = None) -> State:
    """The state that a file's content means. ``path`` is for messages.

    Raises DiagnosticsError: ``state-damaged``, or ``state-too-new``.
    """
    with _damage_explained(path):
        document = records.mapping(records.from_text(content.decode()), "the document")
        return _state(upgraded(document, path, UPGRADES if upgrades is None else upgrades))


def read_version(content: bytes, path: str = "the state") -> Version:
    """Lineage and serial of a file's content, without reading the rest. Raises like :func:`decode`."""
    with _damage_explained(path):
        document = records.mapping(json.loads(content), "the document")
        return Version(records.text(document, "lineage"), records.number(document, "serial"))


@contextmanager
def _damage_explained(path: str) -> Iterator[None]:
    try:
        yield
    except (ShapeError, AddressError, UnicodeDecodeError, RecursionError) as problem:
        raise damaged(path, str(problem) or "it is nested too deeply", _HINT) from problem
    except ValueError as problem:
        raise damaged(path, f"it is not JSON ({problem})", _HINT) from problem


def upgraded(document: Json, path: str, upgrades: Mapping[int, Upgrade], latest: int = STATE_VERSION) -> Json:
    """The document in the latest version's form, one version after another."""
    version = records.number(document, "version")
    if version > latest:
        raise too_new(path, "state", version, latest, records.text(document, "written_by", ""))
    while version < latest:
        upgrade = upgrades.get(version)
        if upgrade is None:
            raise ShapeError(f"version {version} was never written by nexus")
        document = upgrade(document)
        version += 1
    return document


def _laid_out(document: Json) -> bytes:
    lines = [f"{records.to_text(name)}:{_body(value)}" for name, value in document.items()]
    return ("{\n" + ",\n".join(lines) + "\n}\n").encode()


def _body(value: object) -> str:
    """One line for each record: a file that people and diffs can read without being large."""
    if isinstance(value, list) and value:
        return "[\n" + ",\n".join(records.to_text(item) for item in value) + "\n]"
    return records.to_text(value)


def _state(document: Json) -> State:
    resources = [records.record_from_json(item) for item in records.items(document, "resources")]
    by_address = {record.address: record for record in resources}
    if len(by_address) != len(resources):
        raise ShapeError("two resources have the same address")
    serial = records.number(document, "serial")
    if serial < 1:
        raise ShapeError(f"a written state can't have the serial {serial}")
    return State(
        lineage=records.text(document, "lineage"),
        serial=serial,
        project=records.text(document, "project", ""),
        environment=records.text(document, "environment"),
        target=records.target_from_json(document.get("target")),
        resources=by_address,
        deposed=tuple(records.record_from_json(item) for item in records.items(document, "deposed")),
        trees=records.trees_from_json(records.members(document, "trees")),
        pending=tuple(records.intent_from_json(item) for item in records.items(document, "pending")),
        outputs={
            name: records.output_from_json(output) for name, output in records.members(document, "outputs").items()
        },
        history=tuple(records.history_from_json(item) for item in records.items(document, "history")),
    )
