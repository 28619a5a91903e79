"""The JSON forms that the state file and the journal share.

Values are written by the JSON encoder itself: a fingerprint becomes its marked form, a secret is refused with a
TypeError. Reading is strict about shapes: a damaged file is told from a good one before anything is done with it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Final, TypeVar

from nexus.model.addresses import Address
from nexus.model.resources import OnDestroy
from nexus.model.state import Commit, FileEntry, HistoryEntry, Intent, OutputRecord, ResourceRecord, Taken, Target, Tree
from nexus.model.values import Attributes, Fingerprint, Sensitive, Unknown, Value, from_json, to_json

Json = dict[str, object]
T = TypeVar("T")


class ShapeError(ValueError):
    """A document does not have the shape that it should have. The message says where and what."""


# ---- text


def to_text(document: object) -> str:
    """JSON in one line. Raises TypeError when a secret is anywhere inside."""
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"), default=_encode_leaf)


def from_text(text: str) -> object:
    """Inverse of :func:`to_text`, with fingerprints revived. Raises ValueError when it is not JSON."""
    # Most documents hold no fingerprint, and looking at every object of a large one takes as long as reading it.
    return json.loads(text, object_hook=_revive if '"$' in text else None)


def _encode_leaf(value: object) -> object:
    match value:
        case Fingerprint() | Unknown() | Sensitive():
            return to_json(value)
        case Mapping():
            return dict(value)
        case _:
            raise TypeError(f"not a JSON value: {type(value).__name__}")


def _revive(data: Json) -> object:
    return from_json(data) if len(data) == 1 and next(iter(data)).startswith("$") else data


# ---- typed access


def text(data: Json, name: str, default: str | None = None) -> str:
    return _of(data, name, str, default)


def number(data: Json, name: str) -> int:
    value = _of(data, name, int, None)
    if isinstance(value, bool):
        raise ShapeError(f"{name} should be a number")
    return value


def flag(data: Json, name: str) -> bool:
    return _of(data, name, bool, False)


def members(data: Json, name: str) -> Json:
    return _of(data, name, dict, {})


def items(data: Json, name: str) -> list[object]:
    return _of(data, name, list, [])


def mapping(data: object, what: str) -> Json:
    if not isinstance(data, dict):
        raise ShapeError(f"{what} should be an object")
    return data


def _of(data: Json, name: str, kind: type[T], default: T | None) -> T:
    value = data.get(name, default)
    if not isinstance(value, kind):
        state = "missing" if name not in data else f"{type(value).__name__} instead of {_NAMES[kind]}"
        raise ShapeError(f"{name} is {state}")
    return value


_NAMES: Final[Mapping[type, str]] = {str: "text", int: "a number", bool: "a flag", dict: "an object", list: "a list"}

_address: Final[Callable[[str], Address]] = lru_cache(maxsize=65536)(Address.parse)


def _attributes(data: Json, name: str) -> Attributes:
    # The JSON decoder has made nothing but values, so there is no need to walk through them once more.
    return members(data, name)  # type: ignore[return-value]


# ---- records


def record_to_json(record: ResourceRecord) -> Json:
    return {
        "address": str(record.address),
        "id": record.id,
        "uid": record.uid,
        "attributes": record.attributes,
        "outputs": record.outputs,
        "setup": record.setup,
        "depends_on": [str(address) for address in record.depends_on],
        "protected": record.protected,
        **({} if record.on_destroy is OnDestroy.KILL else {"on_destroy": record.on_destroy.value}),
        "created_at": record.created_at,
        "expires_at": record.expires_at,
        **({} if record.taken is None else {"taken": _taken_to_json(record.taken)}),
    }


def record_from_json(data: object) -> ResourceRecord:
    found = mapping(data, "a record")
    setup = members(found, "setup")
    if not all(isinstance(digest, str) for digest in setup.values()):
        raise ShapeError("setup should hold digests")
    return ResourceRecord(
        address=_address(text(found, "address")),
        id=text(found, "id"),
        uid=text(found, "uid"),
        attributes=_attributes(found, "attributes"),
        outputs=_attributes(found, "outputs"),
        setup=setup,  # type: ignore[arg-type]
        depends_on=_addresses(items(found, "depends_on")),
        protected=flag(found, "protected"),
        on_destroy=_on_destroy(text(found, "on_destroy", OnDestroy.KILL)),
        created_at=text(found, "created_at", ""),
        expires_at=None if found.get("expires_at") is None else text(found, "expires_at"),
        taken=_taken_from_json(found.get("taken")),
    )


def _taken_to_json(taken: Taken) -> Json:
    return {"place": taken.place, "by": taken.by, "at": taken.at, "purpose": taken.purpose}


def _taken_from_json(data: object) -> Taken | None:
    if data is None:
        return None
    found = mapping(data, "taken")
    purpose = text(found, "purpose", "")
    return Taken(place=text(found, "place"), by=text(found, "by", ""), at=text(found, "at", ""), purpose=purpose)


def _on_destroy(word: str) -> OnDestroy:
    try:
        return OnDestroy(word)
    except ValueError:
        raise ShapeError(f"on_destroy is {word!r}, which this nexus does not know") from None


def _addresses(texts: Iterable[object]) -> tuple[Address, ...]:
    return tuple(_address(str(item)) for item in texts)


def intent_to_json(intent: Intent) -> Json:
    return {
        "key": intent.key,
        "address": str(intent.address),
        "verb": intent.verb,
        "unit": intent.unit,
        "uid": intent.uid,
        "body": intent.body,
        "started_at": intent.started_at,
        "draft": None if intent.draft is None else record_to_json(intent.draft),
    }


def intent_from_json(data: object) -> Intent:
    found = mapping(data, "an intent")
    draft = found.get("draft")
    return Intent(
        key=text(found, "key"),
        address=_address(text(found, "address")),
        verb=text(found, "verb"),
        unit=text(found, "unit", ""),
        uid=text(found, "uid", ""),
        body=text(found, "body", ""),
        started_at=text(found, "started_at", ""),
        draft=None if draft is None else record_from_json(draft),
    )


def trees_to_json(trees: Mapping[str, Tree]) -> Json:
    """A file is ``[digest, mode, size]``: a tree may have many."""
    return {
        digest: {path: [entry.digest, entry.mode, entry.size] for path, entry in tree.items()}
        for digest, tree in trees.items()
    }


def trees_from_json(data: Json) -> dict[str, Tree]:
    return {digest: _tree(mapping(tree, f"tree {digest}")) for digest, tree in data.items()}


def _tree(data: Json) -> Tree:
    tree: dict[str, FileEntry] = {}
    for path, entry in data.items():
        match entry:
            case [str(digest), int(mode), int(size)]:
                tree[path] = FileEntry(digest, mode, size)
            case _:
                raise ShapeError(f"the file {path!r} of a tree should be [digest, mode, size]")
    return tree


def target_to_json(target: Target | None) -> Json | None:
    if target is None:
        return None
    return {"kind": target.kind, "account": target.account, **({"access": target.access} if target.access else {})}


def target_from_json(data: object) -> Target | None:
    if data is None:
        return None
    found = mapping(data, "target")
    return Target(text(found, "kind"), text(found, "account", ""), text(found, "access", ""))


def output_to_json(output: OutputRecord) -> Json:
    value: Value = None if output.sensitive else output.value
    return {"value": value, "sensitive": output.sensitive, "description": output.description}


def output_from_json(data: object) -> OutputRecord:
    found = mapping(data, "an output")
    return OutputRecord(
        _attributes({"value": {"value": found.get("value")}}, "value")["value"],
        flag(found, "sensitive"),
        text(found, "description", ""),
    )


def history_to_json(entry: HistoryEntry) -> Json:
    return {
        "serial": entry.serial,
        "command": entry.command,
        "at": entry.at,
        "holder": entry.holder,
        "changes": dict(entry.changes),
        "complete": entry.complete,
        **({"commit": _commit_to_json(entry.commit)} if entry.commit.id else {}),
    }


def _commit_to_json(commit: Commit) -> Json:
    modified = {"modified": True} if commit.modified else {}
    return {"id": commit.id, **({"title": commit.title} if commit.title else {}), **modified}


def history_from_json(data: object) -> HistoryEntry:
    found = mapping(data, "an entry of the history")
    commit, changes = members(found, "commit"), members(found, "changes")
    return HistoryEntry(
        serial=number(found, "serial"),
        command=text(found, "command"),
        at=text(found, "at"),
        holder=text(found, "holder", ""),
        changes={action: number(changes, action) for action in changes},
        complete=flag(found, "complete"),
        commit=Commit(text(commit, "id", ""), text(commit, "title", ""), modified=flag(commit, "modified")),
    )
