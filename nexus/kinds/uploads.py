"""Uploads: files and folders of the project, or content written in the manifest, on their way into a sandbox."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable
from dataclasses import dataclass

from nexus.kinds.block import Block
from nexus.kinds.reading import (
    InvalidValue,
    as_text,
    clean_path,
    inside,
    line,
    mapping,
    sequence,
    shown,
    spread,
    user_name,
    within,
)
from nexus.model.diagnostics import DiagnosticsError
from nexus.model.values import UNKNOWN, Sensitive, Unknown, Value

UPLOADS_SCHEMA = {
    "type": "array",
    "items": {
        "type": "object",
        "properties": {
            "path": {
                "type": "string",
                "pattern": "^/",
                "description": "Where it goes: an absolute path. A file whose path ends in / goes into that folder; "
                "of a folder, the content goes to the path.",
            },
            "source": {
                "type": "string",
                "minLength": 1,
                "description": "A file or folder of the project, relative to its folder.",
            },
            "content": {"type": ["string", "number", "boolean"], "description": "The content of a single file."},
            "exclude": {
                "type": "array",
                "items": {"type": "string", "minLength": 1},
                "description": "Patterns as in .gitignore, relative to the source, of what is left out.",
            },
            "mode": {
                "title": "file mode",
                "anyOf": [
                    {"type": "string", "pattern": "^0?[0-7]{3,4}$"},
                    {"type": "integer", "minimum": 0, "maximum": 7777},
                ],
                "description": "Permissions in octal. Content has 0644 by default, a source the modes on disk.",
                "examples": ["0644", "0755"],
            },
            "user": {"type": "string", "minLength": 1, "description": "Who owns it; the block's user by default."},
        },
        "required": ["path"],
        "additionalProperties": False,
    },
    "examples": [[{"source": "./lib/", "path": "/opt/lib"}, {"path": "/app/config.json", "content": "{}"}]],
}
_CONTENT_MODE = 0o644


@dataclass(frozen=True, slots=True)
class UploadSpec:
    """``tree`` is the digest under which the files are known; ``path`` the folder or, of a single file, the file."""

    path: str
    tree: str
    user: str


def read_uploads(block: Block, user: Value) -> Value:
    """``[{"path", "tree", "user"}]``: the trees themselves go to the context. ``tree`` may be UNKNOWN."""
    value = block.raw("uploads")
    if isinstance(value, Unknown):
        return UNKNOWN
    if value is None:
        return []
    try:
        items = sequence(value)
    except InvalidValue as problem:
        block.report("uploads", problem)
        return []
    found = [_read_one(block, index, item, user) for index, item in enumerate(items)]
    uploads = [upload for upload in found if upload is not None]
    _refuse_repeated_paths(block, uploads)
    return [*uploads]


def check_uploads(value: Value) -> Value:
    """The value itself, when each upload makes sense as far as one can tell without files. Raises InvalidValue."""
    for index, item in enumerate(sequence(value)):
        with within(index):
            upload = mapping(spread(item))
            _one_origin(upload)
            path = upload.get("path")
            with within("path"):
                clean_path(path.rstrip("/") or "/" if isinstance(path, str) else path)
            with within("mode"):
                _mode(upload.get("mode"))
    return value


def _one_origin(upload: dict[str, Value]) -> None:
    if (upload.get("source") is None) == (upload.get("content") is None) and upload.get("tree") is None:
        raise InvalidValue("given either a source or a content", hint="exactly one of the two")


def _read_one(block: Block, index: int, value: Value, user: Value) -> dict[str, Value] | None:
    try:
        item = mapping(spread(value))
        owner = inside(item["user"], user_name) if item.get("user") is not None else user
        if item.get("tree") is not None:
            return {"path": item["path"], "tree": item["tree"], "user": owner}
        path, tree = _resolve(block, item)
        return {"path": path, "tree": tree, "user": owner}
    except InvalidValue as problem:
        block.report(f"uploads[{index}]", problem)
    except DiagnosticsError as problems:
        block.adopt("uploads", problems)
    return None


def _resolve(block: Block, item: dict[str, Value]) -> tuple[Value, Value]:
    source, content = item.get("source"), item.get("content")
    _one_origin(item)
    destination = _plain("path", item.get("path"))
    mode = _mode(item.get("mode"))
    if source is None:
        if destination.endswith("/"):
            raise InvalidValue(f"given the path of a file: the content has no name of its own in {shown(destination)}")
        return clean_path(destination), _inline(block, content, _CONTENT_MODE if mode is None else mode)
    name = _plain("source", source)
    exclude = [_plain("exclude", pattern) for pattern in sequence(item.get("exclude") or [])]
    # Asked for only when it is given: most callers' files have the modes that they should have.
    digest, tree = (
        block.context.files.tree(name, exclude) if mode is None else block.context.files.tree(name, exclude, mode=mode)
    )
    block.context.trees[digest] = tree
    return _destination(destination, name, is_file="" in tree), digest


def _inline(block: Block, content: Value, mode: int) -> Value:
    text = inside(content, as_text)
    if isinstance(text, Unknown):
        return UNKNOWN
    secret = isinstance(text, Sensitive)
    plain = text.value if isinstance(text, Sensitive) else text
    if isinstance(plain, Unknown):
        return UNKNOWN
    digest, tree = block.context.files.inline(str(plain), mode, sensitive=secret)
    block.context.trees[digest] = tree
    return digest


def _destination(path: str, source: str, *, is_file: bool) -> str:
    if is_file and path.endswith("/"):
        path += posixpath.basename(source.rstrip("/"))
    return clean_path(path.rstrip("/") or "/")


def _plain(name: str, value: Value) -> str:
    match value:
        case Sensitive():
            raise InvalidValue(f"written without secrets in {name}")
        case Unknown():
            raise InvalidValue(f"given a {name} that is known before the apply", code="unknown-too-early")
        case None:
            raise InvalidValue(f"given a {name}", code="missing-field")
        case _:
            return line(value)


def _mode(value: Value) -> int | None:
    if value is None:
        return None
    digits = str(value)
    if isinstance(value, bool) or not isinstance(value, str | int) or not re.fullmatch(r"0?[0-7]{3,4}", digits):
        raise InvalidValue(f'a mode in octal such as "0644", not {shown(value)}')
    return int(digits, 8)


def _refuse_repeated_paths(block: Block, uploads: Iterable[dict[str, Value]]) -> None:
    seen: set[str] = set()
    for upload in uploads:
        path = str(upload["path"])
        if path in seen:
            block.fail(
                "uploads", "duplicate-upload", f"Two uploads go to {path}", hint="keep one, or merge the sources"
            )
        seen.add(path)


def uploads_from(value: Value) -> tuple[UploadSpec, ...]:
    """The typed form of a known, normalised value."""
    blocks = [mapping(item) for item in sequence(value)]
    return tuple(UploadSpec(str(item["path"]), str(item["tree"]), str(item["user"])) for item in blocks)
