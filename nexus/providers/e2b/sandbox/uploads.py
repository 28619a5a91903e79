"""Uploads: whatever changed, however many files, in one archive and one command.

The archive holds the changed files, and lists that the command works through as root: files to delete, folders to make,
who owns what. Folders that exist keep their owner; those made here belong to the upload's user.
"""

from __future__ import annotations

import posixpath
import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from nexus.kinds.base import SourceFiles
from nexus.kinds.sandbox import SandboxSpec
from nexus.model.state import ResourceRecord, Tree
from nexus.model.values import Value
from nexus.providers.base import Call
from nexus.providers.e2b import errors
from nexus.providers.e2b.archive import Member, tar_stream
from nexus.providers.e2b.inside import JOBS_FOLDER, ROOT, Inside
from nexus.providers.e2b.jobs import new_token
from nexus.providers.e2b.receipts import FOLDER, Receipt, commit_command
from nexus.providers.e2b.shell import MAKE_FOLDER

_LARGEST_IN_MEMORY: Final = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """One file in its place: what has to be the same for it to be left alone, and where its content is found."""

    digest: str
    mode: int
    owner: str
    size: int
    tree: str
    relative: str
    root: str

    def same_as(self, other: Placed | None) -> bool:
        return other is not None and (self.digest, self.mode, self.owner) == (other.digest, other.mode, other.owner)


@dataclass(frozen=True, slots=True)
class Delta:
    """Files by path: to be sent, and to be deleted."""

    send: Mapping[str, Placed]
    delete: Mapping[str, Placed]

    def describe(self) -> str:
        parts = [f"{len(self.send)} to send"] if self.send else []
        parts += [f"{len(self.delete)} to delete"] if self.delete else []
        return f"files: {', '.join(parts) or 'nothing to do'}"


async def upload(inside: Inside, call: Call, spec: SandboxSpec, receipt: Receipt, *, compress: bool) -> None:
    """Bring the uploaded files to what ``spec`` says. ``compress`` is for lines that are slower than gzip."""
    wanted = [(item.path, item.tree, item.user) for item in spec.uploads] if call.unit is not None else []
    delta = compare(
        places(wanted, call.trees, strict=True), places(recorded_uploads(call.record), call.prior_trees, strict=False)
    )
    if not delta.send and not delta.delete:
        # Nothing was declared anew, so what is in the sandbox is not what was put there.
        delta = Delta(places(wanted, call.trees, strict=True), {})
    after = receipt.after(call)
    call.report.progress(delta.describe())
    folder = f"{_staging(delta)}/{new_token()}"
    members = _members(delta, after, call.files)
    await inside.send(f"{folder}/files.tar", tar_stream(members), user=ROOT, compress=compress)
    await inside.check(_command(folder, delta), user=ROOT, summary="The uploaded files could not be put in place")
    inside.remember(after)


def _staging(delta: Delta) -> str:
    """Where the archive waits: in memory, or on disk when it is large."""
    size = sum(item.size for item in delta.send.values())
    return JOBS_FOLDER if size <= _LARGEST_IN_MEMORY else f"{FOLDER}/incoming"


def compare(wanted: Mapping[str, Placed], before: Mapping[str, Placed]) -> Delta:
    """What leads from ``before`` to ``wanted``."""
    return Delta(
        send={path: item for path, item in wanted.items() if not item.same_as(before.get(path))},
        delete={path: item for path, item in before.items() if path not in wanted},
    )


def places(uploads: Iterable[tuple[str, str, str]], trees: Mapping[str, Tree], *, strict: bool) -> dict[str, Placed]:
    """Every file of these uploads (path, tree, owner) by its path in the sandbox; later uploads win.

    Raises ProviderError for paths that lead out of their upload and, if ``strict``, for trees that nobody knows.
    """
    found: dict[str, Placed] = {}
    for root, digest, owner in uploads:
        tree = trees.get(digest)
        if tree is None:
            if strict:
                raise _unknown_tree(root)
            continue
        for relative, entry in tree.items():
            found[_join(root, relative)] = Placed(
                digest=entry.digest,
                mode=entry.mode,
                owner=owner,
                size=entry.size,
                tree=digest,
                relative=relative,
                root=root if relative else posixpath.dirname(root),
            )
    return found


def recorded_uploads(record: ResourceRecord | None) -> list[tuple[str, str, str]]:
    """Path, tree and owner of every upload that the record tells."""
    recorded = record.attributes.get("uploads") if record is not None else None
    items = recorded if isinstance(recorded, list) else []
    return [found for item in items if (found := _recorded(item)) is not None]


def _recorded(item: Value) -> tuple[str, str, str] | None:
    match item:
        case {"path": str(path), "tree": str(tree), **rest}:
            return path, tree, str(rest.get("user", "user"))
    return None


def _join(root: str, relative: str) -> str:
    path = posixpath.join(root, relative) if relative else root
    if not path.startswith("/") or ".." in path.split("/") or relative.startswith("/") or "\0" in path:
        raise errors.failure(
            "path-escapes",
            "An upload leads out of its folder",
            detail=f"{relative or root} can't be put below {root}.",
        )
    return posixpath.normpath(path)


def _unknown_tree(root: str) -> Exception:
    return errors.failure(
        "unknown-tree",
        "The files of an upload are not known",
        detail=f"Nobody remembers what goes to {root}. This is a fault in nexus.",
    )


def _members(delta: Delta, receipt: Receipt, files: SourceFiles) -> Iterator[Member]:
    """The lists first, so that they can be taken out on their own, then the files below ``files/``."""
    lists = {
        "delete": _joined(delta.delete),
        "emptied": _joined(_emptied(delta)),
        "receipt": receipt.to_json().encode(),
    }
    for number, (owner, paths) in enumerate(_by_owner(delta)):
        lists[f"owner-{number}"] = owner.encode()
        lists[f"folders-{number}"] = _joined(dict.fromkeys(posixpath.dirname(path) for path in paths))
        lists[f"files-{number}"] = _joined(paths)
    special = {path: item for path, item in delta.send.items() if item.mode & 0o7000}
    lists["special"] = _joined(part for path, item in special.items() for part in (f"{item.mode:o}", path))
    for name, content in lists.items():
        yield Member(f"lists/{name}", 0o600, len(content), lambda content=content: iter([content]))  # type: ignore[misc]
    for path, item in delta.send.items():
        yield Member(
            f"files{path}",
            item.mode,
            item.size,
            lambda item=item: files.content(item.tree, item.relative),  # type: ignore[misc]
        )


def _by_owner(delta: Delta) -> list[tuple[str, list[str]]]:
    owners: dict[str, list[str]] = {}
    for path, item in delta.send.items():
        owners.setdefault(item.owner, []).append(path)
    return list(owners.items())


def _emptied(delta: Delta) -> list[str]:
    """Folders below an upload's own that may be empty once files are deleted, the deepest first."""
    found: set[str] = set()
    for path, item in delta.delete.items():
        folder = posixpath.dirname(path)
        while folder.startswith(f"{item.root}/"):
            found.add(folder)
            folder = posixpath.dirname(folder)
    return sorted(found, key=lambda folder: folder.count("/"), reverse=True)


def _joined(paths: Iterable[str]) -> bytes:
    return b"".join(path.encode("utf-8", "surrogateescape") + b"\0" for path in paths)


_PUT_IN_PLACE = r"""
each() { while IFS= read -r -d '' item; do "$@" "$item"; done; }
forget_folder() { rmdir -- "$1" 2>/dev/null || true; }
umask 022
tar -xf files.tar lists
xargs -0 -r rm -f -- < lists/delete
each forget_folder < lists/emptied
for list in lists/owner-*; do
  [ -e "$list" ] || continue
  each make_folder "$(cat "$list")" < "lists/folders-${list##*-}"
done
"""
_PUT_FILES = r"""
tar -xpf files.tar -C / --strip-components=1 files
for list in lists/owner-*; do
  xargs -0 chown -h "$(cat "$list"):" -- < "lists/files-${list##*-}"
done
while IFS= read -r -d '' mode && IFS= read -r -d '' path; do chmod "$mode" -- "$path"; done < lists/special
"""


def _command(folder: str, delta: Delta) -> str:
    """The command that puts an archive's files in their places, and notes that down."""
    quoted = shlex.quote(folder)
    put_files = _PUT_FILES if delta.send else ""
    return (
        f"set -e; trap 'rm -rf {quoted}' EXIT; chmod 700 {quoted}; cd {quoted}\n"
        f"{MAKE_FOLDER}{_PUT_IN_PLACE}{put_files}{commit_command('lists/receipt')}"
    )
