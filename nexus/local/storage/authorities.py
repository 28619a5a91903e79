"""Certificate authorities in the base of machines, so that every machine trusts them from its start and at no cost."""

from __future__ import annotations

import contextlib
import secrets
import stat
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Final

from nexus.local.storage.layout import ROOT_TREE

AUTHORITY: Final = "/usr/local/share/ca-certificates/nexus-local.crt"
"""Where machines find the authority itself: update-ca-certificates keeps what lies there."""

_BUNDLES: Final = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)
_MOST_LINKS: Final = 40


def add_authority(base: Path, authority: str, bundles: Iterable[str] = ()) -> str | None:
    """Add ``authority`` (PEM) to the base's usual bundles, and to those of ``bundles`` that lie in ``/etc`` of it.

    Returns the path of the usual bundle, None where the base has none. Idempotent. Raises OSError.
    """
    root = base / ROOT_TREE
    usr = base / "usr" if (base / "usr").is_dir() else root / "usr"
    _write_own(usr / PurePosixPath(AUTHORITY).relative_to("/usr"), authority)
    found = [bundle for bundle in _BUNDLES if _inside(root, bundle).is_file()]
    # One may be a link to another.
    for path in {_inside(root, bundle) for bundle in (*found, *bundles)}:
        if path.is_file() and not path.is_relative_to(usr):
            _append(path, authority)
    return found[0] if found else None


def _inside(root: Path, path: str) -> Path:
    """The file that a machine with this root finds at ``path``: links lead to places below ``root``, never outside."""
    found: list[str] = []
    pending = list(reversed(PurePosixPath(path).parts[1:]))
    links = 0
    while pending:
        match pending.pop():
            case "..":
                found = found[:-1]
            case name:
                place = root.joinpath(*found, name)
                if not place.is_symlink():
                    found.append(name)
                elif (links := links + 1) > _MOST_LINKS:
                    return root
                else:
                    target = place.readlink()
                    if target.is_absolute():
                        found = []
                    pending += reversed([part for part in target.parts if part != "/"])
    return root.joinpath(*found)


def _write_own(path: Path, authority: str) -> None:
    for folder in reversed([parent for parent in path.parents if not parent.exists()]):
        folder.mkdir()
        folder.chmod(0o755)
    with contextlib.suppress(FileNotFoundError):
        if path.read_text() == authority:
            return
    _replace(path, authority, 0o644)


def _append(path: Path, authority: str) -> None:
    content = path.read_text(encoding="utf-8", errors="surrogateescape")
    if authority.strip() not in content:
        _replace(path, f"{content.rstrip()}\n{authority}", stat.S_IMODE(path.stat().st_mode))


def _replace(path: Path, content: str, mode: int) -> None:
    """Whole or not at all: machines may be reading it."""
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        fresh.write_text(content, encoding="utf-8", errors="surrogateescape")
        fresh.chmod(mode)
        fresh.replace(path)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise
