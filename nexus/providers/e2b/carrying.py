"""Trees of files into a sandbox and out of it.

Small files travel together, in archives of a bounded size that wait in the sandbox's memory; large ones on their own,
as streams. So neither this process nor the sandbox ever holds more than one archive, and no disk has to hold anything
twice. What arrives is compared by digest with what was sent.
"""

from __future__ import annotations

import hashlib
import io
import posixpath
import shlex
import tarfile
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from typing import Final, TypeVar

from nexus.providers.base import ProviderError
from nexus.providers.carrying import (
    Carried,
    Incoming,
    OnBytes,
    Outgoing,
    RemoteFile,
    RemoteKind,
    RemotePlace,
    RemoteTree,
    Shipment,
)
from nexus.providers.e2b import errors
from nexus.providers.e2b.archive import Member, tar_stream
from nexus.providers.e2b.inside import JOBS_FOLDER, ROOT, Inside
from nexus.providers.e2b.jobs import new_token
from nexus.providers.e2b.pieces import pieces_of
from nexus.providers.e2b.shell import MAKE_FOLDER

_LARGE: Final = 8 * 1024 * 1024
_BATCH: Final = 32 * 1024 * 1024
_HEADER: Final = 1024
"""What an archive holds for a file beside its content, about."""

T = TypeVar("T", Outgoing, RemoteFile)


async def locate(inside: Inside, path: str, user: str) -> RemotePlace:
    """``path`` made absolute, from the home of ``user`` where it is relative, and what is there."""
    rest = path.removeprefix("~/") if path != "~" else "."
    text = await inside.check(
        f"cd && p={shlex.quote(rest)} && case $p in /*) ;; *) p=$PWD/$p;; esac\n"
        'if [ -d "$p" ]; then echo folder; elif [ -e "$p" ]; then echo file; else echo nothing; fi; printf "%s" "$p"',
        user=user,
        summary="The path could not be looked up",
    )
    kind, _, found = text.partition("\n")
    return RemotePlace(posixpath.normpath(found), RemoteKind(kind))


async def put(
    inside: Inside, shipment: Shipment, *, user: str, compress: bool, on_bytes: OnBytes
) -> AsyncIterator[Carried]:
    """Put everything in its place, belonging to ``user``; tells of each file once it has arrived."""
    await inside.receipt()
    await _prepare(inside, shipment, user)
    large = [item for item in shipment.files if item.size >= _LARGE]
    for batch in _batches(item for item in shipment.files if item.size < _LARGE):
        for carried in await _put_batch(inside, batch, user, compress, on_bytes):
            yield carried
    for item in large:
        yield await _put_one(inside, item, user, compress, on_bytes)
    await _link(inside, shipment.links, user)


async def list_tree(inside: Inside, path: str, user: str) -> RemoteTree:
    """What is at ``path``, with the digests of all files. Raises ProviderError where ``user`` may not read it all."""
    await inside.receipt()
    folder = f"{JOBS_FOLDER}/{new_token()}"
    root = shlex.quote(path)
    try:
        await inside.check(
            f"mkdir {folder} && cd {folder} || exit 1\n"
            f"[ -e {root} ] || {{ echo 'There is no such file or folder.' >&2; exit 1; }}\n"
            f"find -H {root} -printf '%y %m %s\\0%P\\0%l\\0' > listing || exit 1\n"
            f"find -H {root} -type f -print0 | xargs -0 -r sha256sum -z -- > sums || exit 1\n",
            user=user,
            summary=f"{path} could not be read",
        )
        listing = await _whole(inside, f"{folder}/listing", user)
        sums = await _whole(inside, f"{folder}/sums", user)
    finally:
        await inside.run(f"rm -rf {folder}", user=ROOT, cwd="/")
    return _tree(path, listing, sums)


async def fetch(inside: Inside, files: Sequence[RemoteFile], *, user: str) -> Incoming:
    """The contents of ``files``, the small ones first."""
    large = [item for item in files if item.size >= _LARGE]
    for batch in _batches(item for item in files if item.size < _LARGE):
        contents = await _fetch_batch(inside, batch, user)
        for item in batch:
            if item.path not in contents:
                raise _changed(inside, item.path)
            yield item, _one(contents.pop(item.path))
    for item in large:
        yield item, inside.receive(item.path, user=user)


def _batches(files: Iterable[T]) -> Iterator[list[T]]:
    batch: list[T] = []
    size = 0
    for item in files:
        if batch and size + item.size + _HEADER > _BATCH:
            yield batch
            batch, size = [], 0
        batch.append(item)
        size += item.size + _HEADER
    if batch:
        yield batch


async def _prepare(inside: Inside, shipment: Shipment, user: str) -> None:
    parents = (posixpath.dirname(path) for path in (*(item.path for item in shipment.files), *dict(shipment.links)))
    wanted = dict.fromkeys((*shipment.folders, *parents))
    await _for_each(
        inside,
        [(folder,) for folder in wanted if folder != "/"],
        f'{MAKE_FOLDER}\nwork() {{ [ ! -d "$1" ] || return 0; make_folder {shlex.quote(user)} "$1"; }}',
        "The folders could not be made",
    )


async def _link(inside: Inside, links: Sequence[tuple[str, str]], user: str) -> None:
    program = f'work() {{ ln -sfn -- "$2" "$1" && chown -h {shlex.quote(user)}: -- "$1"; }}'
    await _for_each(inside, links, program, "The links could not be made")


async def _for_each(inside: Inside, items: Sequence[tuple[str, ...]], program: str, summary: str) -> None:
    """Call the function ``work`` of ``program`` with the texts of each item, as root."""
    if not items:
        return
    folder = f"{JOBS_FOLDER}/{new_token()}"
    await inside.write({f"{folder}/items": _joined(text for item in items for text in item)}, user=ROOT)
    read = " && ".join(f"IFS= read -r -d '' v{number}" for number in range(len(items[0])))
    words = " ".join(f'"$v{number}"' for number in range(len(items[0])))
    await inside.check(
        f"trap 'rm -rf {folder}' EXIT\n{program}\nwhile {read}; do work {words} || exit 1; done < {folder}/items",
        summary=summary,
    )


async def _put_batch(
    inside: Inside, batch: Sequence[Outgoing], user: str, compress: bool, on_bytes: OnBytes
) -> list[Carried]:
    folder = f"{JOBS_FOLDER}/{new_token()}"
    digests = {item.path: hashlib.sha256() for item in batch}
    sizes = dict.fromkeys(digests, 0)

    def read(item: Outgoing) -> Iterator[bytes]:
        for piece in item.read():
            digests[item.path].update(piece)
            sizes[item.path] += len(piece)
            on_bytes(len(piece))
            yield piece

    members = [
        Member(item.path.lstrip("/"), item.mode, item.size, lambda item=item: read(item))  # type: ignore[misc]
        for item in batch
    ]
    await inside.write({f"{folder}/paths": _joined(item.path for item in batch)}, user=ROOT)
    await inside.send(f"{folder}/files.tar", tar_stream(members), user=ROOT, compress=compress)
    owner = shlex.quote(f"{user}:")
    told = await inside.check(
        f"set -e -o pipefail; trap 'rm -rf {folder}' EXIT\ncd {folder}\n"
        f"tar -xpf files.tar -C /\nxargs -0 chown -h {owner} -- < paths\n"
        "xargs -0 sha256sum -z -- < paths | cut -z -c1-64 | tr '\\0' '\\n'",
        summary="The files could not be put in place",
    )
    arrived = told.split()
    for item, found in zip(batch, arrived, strict=True):
        if digests[item.path].hexdigest() != found:
            raise _damaged(inside, item.path)
    return [
        Carried(path=item.path, size=sizes[item.path], mode=item.mode, sha256=digests[item.path].hexdigest())
        for item in batch
    ]


async def _put_one(inside: Inside, item: Outgoing, user: str, compress: bool, on_bytes: OnBytes) -> Carried:
    """Under another name until it is there as a whole."""
    part = f"{item.path}.nexus-{new_token()}"
    digest, size = hashlib.sha256(), 0

    async def counted() -> AsyncIterator[bytes]:
        nonlocal size
        async for piece in pieces_of(item.read()):
            digest.update(piece)
            size += len(piece)
            on_bytes(len(piece))
            yield piece

    quoted, target = shlex.quote(part), shlex.quote(item.path)
    try:
        await inside.send(part, counted(), user=user, compress=compress)
        found = await inside.check(
            f"chmod {item.mode & 0o7777:o} -- {quoted} && sha256sum < {quoted} | cut -c1-64",
            summary="The file could not be checked",
        )
        if found.strip() != digest.hexdigest():
            raise _damaged(inside, item.path)
        await inside.check(f"mv -fT -- {quoted} {target}", summary="The file could not be put in place")
    except BaseException:
        await _remove(inside, part)
        raise
    return Carried(path=item.path, size=size, mode=item.mode, sha256=digest.hexdigest())


async def _remove(inside: Inside, path: str) -> None:
    """What is left half done; that the sandbox does not answer is no other error than the one at hand."""
    try:
        await inside.run(f"rm -f -- {shlex.quote(path)}", user=ROOT, cwd="/")
    except ProviderError:
        return


async def _fetch_batch(inside: Inside, batch: Sequence[RemoteFile], user: str) -> dict[str, bytes]:
    folder = f"{JOBS_FOLDER}/{new_token()}"
    await inside.write({f"{folder}/paths": _joined(item.path for item in batch)}, user=user)
    try:
        await inside.check(
            f"tar -C / -P -cf {folder}/files.tar --null --verbatim-files-from -T {folder}/paths 2>&1 || [ $? = 1 ]",
            user=user,
            summary="The files could not be read",
        )
        archive = await _whole(inside, f"{folder}/files.tar", user)
    finally:
        await inside.run(f"rm -rf {folder}", user=ROOT, cwd="/")
    return dict(_contents(archive))


def _contents(archive: bytes) -> Iterator[tuple[str, bytes]]:
    seen: dict[str, bytes] = {}
    with tarfile.open(fileobj=io.BytesIO(archive), encoding="utf-8", errors="surrogateescape") as tar:
        for member in tar:
            # The second name of a file that has several is only a reference to the first.
            if member.islnk():
                content = seen.get(member.linkname, b"")
            else:
                file = tar.extractfile(member)
                content = b"" if file is None else file.read()
            seen[member.name] = content
            yield f"/{member.name.lstrip('/')}", content


async def _one(content: bytes) -> AsyncIterator[bytes]:
    yield content


async def _whole(inside: Inside, path: str, user: str) -> bytes:
    return b"".join([chunk async for chunk in inside.receive(path, user=user)])


def _tree(root: str, listing: bytes, sums: bytes) -> RemoteTree:
    digests = _digests(sums)
    files: list[RemoteFile] = []
    folders: list[str] = []
    links: list[tuple[str, str]] = []
    texts = listing.decode("utf-8", "surrogateescape").split("\0")[:-1]
    for head, relative, target in zip(texts[::3], texts[1::3], texts[2::3], strict=True):
        kind, mode, size = head.split()
        path = posixpath.join(root, relative) if relative else root
        match kind:
            case "f" if path in digests:
                files.append(
                    RemoteFile(path=path, relative=relative, size=int(size), mode=int(mode, 8), sha256=digests[path])
                )
            case "d":
                folders.append(relative)
            case "l":
                links.append((relative, target))
    return RemoteTree(files=files, folders=folders, links=links)


def _digests(sums: bytes) -> Mapping[str, str]:
    lines = sums.decode("utf-8", "surrogateescape").split("\0")
    return {line[66:]: line[:64] for line in lines if line}


def _joined(texts: Iterable[str]) -> bytes:
    return b"".join(text.encode("utf-8", "surrogateescape") + b"\0" for text in texts)


def _damaged(inside: Inside, path: str) -> ProviderError:
    return errors.failure(
        "checksum-mismatch",
        "A file did not arrive as it was sent",
        detail=f"What is at {path} in the sandbox has another checksum.",
        hint="try again; something else may write to this file",
        address=inside.address,
    )


def _changed(inside: Inside, path: str) -> ProviderError:
    return errors.failure(
        "file-not-found",
        f"There is no file {path} in the sandbox any more",
        detail="It was removed while it was to be read.",
        address=inside.address,
    )
