"""A copy of the host's programs, for machines that cannot have the host's own folders lent to them.

All of ``/usr`` and its like is taken where that is little; else the packages that every system needs and those that
sandboxes usually want, with what they depend on.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

# What one sandbox may take of the disk to begin with.
_MOST_BYTES: Final = 1 << 30
_WANTED: Final = (
    *("apt", "bash", "ca-certificates", "coreutils", "curl", "diffutils", "file", "findutils", "git", "grep", "gzip"),
    *("hostname", "iproute2", "jq", "less", "login", "locales", "make", "nano", "nodejs", "npm", "openssl", "passwd"),
    *("patch", "procps", "psmisc", "python3", "python3-pip", "python3-venv", "sed", "sudo", "tar", "tzdata", "unzip"),
    *("util-linux", "vim-tiny", "wget", "xz-utils", "zip"),
)
_LEFT_OUT: Final = ("usr/share/doc", "usr/share/info", "usr/share/man", "usr/src")
_STATUS: Final = Path("var/lib/dpkg/status")
_INFO: Final = Path("var/lib/dpkg/info")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Package:
    name: str
    architecture: str
    essential: bool
    depends: tuple[tuple[str, ...], ...]
    provides: tuple[str, ...]
    text: str


def copy_programs(folders: Iterable[str], root: Path, host: Path = Path("/")) -> None:
    """Fill ``root``, which has its ``/var`` already, with programs of the host. Raises OSError when there is no room
    for them, or they are too many and belong to no packages that can be chosen from."""
    names = list(folders)
    whole = [path for name in names for path in _walk(host / name, host)]
    size = sum(_bytes_of(host / path) for path in whole)
    _keep_free(root, min(size, _MOST_BYTES))
    if size <= _MOST_BYTES:
        _copy(whole, root, host)
        return
    packages = _read_packages(host / _STATUS)
    if not packages:
        raise OSError(
            f"this host's programs take {size >> 20} MiB, too much to copy for every sandbox, and they are not "
            "Debian packages, from which a part could be chosen"
        )
    chosen = _with_dependencies(packages)
    paths = dict.fromkeys(path for package in chosen for path in _files_of(package, names, host))
    paths.update(dict.fromkeys(_links_to(paths, host)))
    _copy(paths, root, host)
    _forget_others(chosen, root)


def _walk(folder: Path, host: Path) -> Iterator[str]:
    for current, folders, files in os.walk(folder):
        inside = os.path.relpath(current, host)
        folders[:] = [name for name in folders if f"{inside}/{name}" not in _LEFT_OUT]
        yield inside
        for name in (*files, *(name for name in folders if os.path.islink(f"{current}/{name}"))):  # noqa: PTH114
            yield f"{inside}/{name}"


def _bytes_of(path: Path) -> int:
    status = path.lstat()
    return status.st_size if stat.S_ISREG(status.st_mode) else 0


def _keep_free(root: Path, needed: int) -> None:
    free = shutil.disk_usage(root).free
    if free < 2 * needed:
        raise OSError(f"No space left for copies of the programs: {free >> 20} MiB are free, {needed >> 19} are needed")


def _copy(paths: Iterable[str], root: Path, host: Path) -> None:
    """Copy files, links and the folders they lie in; owners and modes come along."""
    for name in paths:
        source, target = host / name, root / name
        if not os.path.lexists(source) or (os.path.lexists(target) and not target.is_dir()):
            continue
        _make_parents(target, root, host)
        status = source.lstat()
        if stat.S_ISDIR(status.st_mode):
            target.mkdir(exist_ok=True)
        elif stat.S_ISLNK(status.st_mode):
            target.symlink_to(source.readlink())
            continue
        elif stat.S_ISREG(status.st_mode):
            shutil.copyfile(source, target)
        else:
            continue
        _dress(target, status)


def _make_parents(target: Path, root: Path, host: Path) -> None:
    missing = []
    parent = target.parent
    while not parent.exists():
        missing.append(parent)
        parent = parent.parent
    for folder in reversed(missing):
        folder.mkdir()
        _dress(folder, (host / folder.relative_to(root)).stat())


def _dress(target: Path, status: os.stat_result) -> None:
    # The owner first: changing it takes set-uid bits away.
    os.chown(target, status.st_uid, status.st_gid)
    target.chmod(stat.S_IMODE(status.st_mode))
    os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))


# -- packages


def _read_packages(status: Path) -> dict[str, _Package]:
    try:
        text = status.read_text(errors="replace")
    except OSError:
        return {}
    found = {}
    for stanza in text.split("\n\n"):
        fields = dict(re.findall(r"^([A-Za-z-]+):[ \t]*(.*)$", stanza, re.MULTILINE))
        if fields.get("Status", "").endswith(" installed") and "Package" in fields:
            found[fields["Package"]] = _Package(
                name=fields["Package"],
                architecture=fields.get("Architecture", ""),
                essential=fields.get("Essential") == "yes" or fields.get("Priority") == "required",
                depends=(*_relations(fields.get("Pre-Depends", "")), *_relations(fields.get("Depends", ""))),
                provides=tuple(names[0] for names in _relations(fields.get("Provides", ""))),
                text=stanza.strip("\n"),
            )
    return found


def _relations(text: str) -> tuple[tuple[str, ...], ...]:
    """``a (>= 1) | b, c:any`` as names: ``((a, b), (c,))``."""
    groups = [group.split("|") for group in text.split(",") if group.strip()]
    return tuple(tuple(re.split(r"[\s(:\[]", name.strip())[0] for name in group) for group in groups)


def _with_dependencies(packages: Mapping[str, _Package]) -> list[_Package]:
    providers = {virtual: package for package in packages.values() for virtual in package.provides}
    providers.update(packages)
    pending = [package for package in packages.values() if package.essential or package.name in _WANTED]
    chosen: dict[str, _Package] = {}
    while pending:
        package = pending.pop()
        if package.name in chosen:
            continue
        chosen[package.name] = package
        for alternatives in package.depends:
            pending += [providers[name] for name in alternatives if name in providers][:1]
    return list(chosen.values())


def _files_of(package: _Package, folders: list[str], host: Path) -> Iterator[str]:
    for name in (f"{package.name}.list", f"{package.name}:{package.architecture}.list"):
        listing = host / _INFO / name
        if not listing.is_file():
            continue
        for line in listing.read_text(errors="replace").splitlines():
            inside = _through_links(line.lstrip("/"), host)
            wanted = inside.split("/", 1)[0] in folders and not inside.startswith(_LEFT_OUT)
            if wanted and "/" in inside:
                yield inside


def _through_links(inside: str, host: Path) -> str:
    """The path with its first part followed: where /lib is a link, ``lib/x`` is ``usr/lib/x``."""
    first, _, rest = inside.partition("/")
    if rest and (host / first).is_symlink():
        return f"{os.path.relpath(os.path.realpath(host / first), host)}/{rest}"
    return inside


def _links_to(paths: Mapping[str, None], host: Path) -> Iterator[str]:
    """Commands that are links of no package (``awk``, ``editor``) but lead to what was chosen."""
    for folder in ("usr/bin", "usr/sbin"):
        for entry in (host / folder).iterdir():
            inside = f"{folder}/{entry.name}"
            if not entry.is_symlink() or inside in paths:
                continue
            if os.path.relpath(os.path.realpath(entry), host) in paths:
                yield inside


def _forget_others(chosen: Iterable[_Package], root: Path) -> None:
    """Have the package manager know of what is there, and of nothing else."""
    kept = list(chosen)
    (root / _STATUS).write_text("\n\n".join(package.text for package in kept) + "\n")
    names = {package.name for package in kept}
    for entry in (root / _INFO).iterdir():
        if entry.name != "format" and re.split(r"[:]|\.(?=[a-z0-9]+$)", entry.name)[0] not in names:
            entry.unlink()
