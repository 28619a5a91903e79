"""Fields that differ between what was applied and what is wanted, in the words of the manifest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Final

from nexus.kinds.base import Field, Kind
from nexus.model.changes import Effect, FieldDiff
from nexus.model.state import Tree
from nexus.model.values import Attributes, Fingerprint, Unknown, Value

Trees = Mapping[str, Tree]

_NOTHING: Final[tuple[Value, ...]] = (None, [], {}, "", False)


def field_diffs(kind: Kind[object], before: Attributes, after: Attributes, trees: Trees) -> tuple[FieldDiff, ...]:
    """Every difference, finest first. ``trees`` are upload trees by digest, old and new ones.

    Derived fields are listed only where nothing that was written explains the change.
    """
    written: list[FieldDiff] = []
    derived: list[FieldDiff] = []
    for field in kind.fields:
        if field.meta or field.folds_into or field.name == "address":
            continue
        old, new = before.get(field.name), after.get(field.name)
        if old == new or (field.name not in before and new == field.default):
            continue
        (derived if field.computed else written).extend(_differences(field, old, new, trees))
    explained = {diff.effect for diff in written}
    return (*written, *(diff for diff in derived if diff.effect not in explained))


def new_fields(kind: Kind[object], after: Attributes, trees: Trees) -> tuple[FieldDiff, ...]:
    """What a resource that is to be made will be, defaults left out."""
    return tuple(
        FieldDiff(
            path=field.name,
            before=None,
            after=after[field.name],
            effect=field.effect,
            note=_files_in_all(after[field.name], trees) if field.name == "uploads" else "",
        )
        for field in kind.fields
        if field.name in after
        and not field.meta
        and not field.computed
        and after[field.name] != field.default
        and not _is_nothing(after[field.name])
    )


def top(path: str) -> str:
    """The field that a path of a difference begins with."""
    for position, character in enumerate(path):
        if character in ".[":
            return path[:position]
    return path


def is_rotation(diff: FieldDiff) -> bool:
    """Whether a secret has another value, and nothing else happened."""
    return isinstance(diff.before, Fingerprint) and isinstance(diff.after, Fingerprint)


def _differences(field: Field, old: Value, new: Value, trees: Trees) -> Iterator[FieldDiff]:
    if field.name == "uploads" and not isinstance(new, Unknown):
        yield from _uploads(field, old, new, trees)
    else:
        found = _nested(field.name, old, new, field.effect, named=_has_properties(field.schema))
        yield from (replace(diff, note=field.caveat) for diff in found)


def _nested(path: str, old: Value, new: Value, effect: Effect, *, named: bool) -> Iterator[FieldDiff]:
    """Maps are compared key by key; everything else as a whole. ``named``: the keys are words of the manifest."""
    inside = isinstance(new, dict) and (isinstance(old, dict) or old is None)
    if not inside or not isinstance(new, dict):
        if not (_is_nothing(old) and _is_nothing(new)):
            yield FieldDiff(path=path, before=old, after=new, effect=effect)
        return
    before = old if isinstance(old, dict) else {}
    for key in dict.fromkeys((*new, *before)):
        if before.get(key) == new.get(key):
            continue
        below = f"{path}.{key}" if named else f'{path}["{key}"]'
        if isinstance(before.get(key), dict) and isinstance(new.get(key), dict):
            yield from _nested(below, before[key], new[key], effect, named=True)
        elif not (_is_nothing(before.get(key)) and _is_nothing(new.get(key)) and named):
            yield FieldDiff(path=below, before=before.get(key), after=new.get(key), effect=effect)


def _uploads(field: Field, old: Value, new: Value, trees: Trees) -> Iterator[FieldDiff]:
    before, after = _by_path(old), _by_path(new)
    for path in dict.fromkeys((*after, *before)):
        was, will = before.get(path), after.get(path)
        if was == will:
            continue
        yield FieldDiff(
            path=f'{field.name}["{path}"]',
            before=was,
            after=will,
            effect=field.effect,
            note=_files_changed(_tree(was, trees), _tree(will, trees), is_unknown=_tree_digest(will) is None),
        )


def _by_path(uploads: Value) -> dict[str, Value]:
    items = uploads if isinstance(uploads, list) else []
    return {str(item["path"]): item for item in items if isinstance(item, dict) and "path" in item}


def _tree_digest(upload: Value) -> str | None:
    digest = upload.get("tree") if isinstance(upload, dict) else ""
    return digest if isinstance(digest, str) else None


def _tree(upload: Value, trees: Trees) -> Tree:
    return trees.get(_tree_digest(upload) or "", {})


def _files_changed(before: Tree, after: Tree, *, is_unknown: bool) -> str:
    if is_unknown:
        return "content known after apply"
    added = sum(path not in before for path in after)
    removed = sum(path not in after for path in before)
    changed = sum(path in before and before[path] != entry for path, entry in after.items())
    counts = ((added, "added"), (changed, "changed"), (removed, "removed"))
    return ", ".join(f"{count} file{'' if count == 1 else 's'} {word}" for count, word in counts if count)


def _files_in_all(uploads: Value, trees: Trees) -> str:
    known = [_tree(upload, trees) for upload in _by_path(uploads).values() if _tree_digest(upload) is not None]
    count = sum(map(len, known))
    return f"{count} file{'' if count == 1 else 's'}" if known else ""


def _is_nothing(value: Value) -> bool:
    return any(value == nothing and type(value) is type(nothing) for nothing in _NOTHING)


def _has_properties(schema: Mapping[str, object]) -> bool:
    if "properties" in schema:
        return True
    choices = schema.get("anyOf")
    return isinstance(choices, list) and any(isinstance(item, Mapping) and "properties" in item for item in choices)
