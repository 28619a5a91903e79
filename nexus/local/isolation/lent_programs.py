"""The programs that sandboxes find because this host has them: the base is the host's own ``/usr`` and ``/opt``."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from typing import Final

from nexus.local.isolation.findings import Finding

# Where machines look, less what only the host's people have.
_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_MANAGERS: Final = (
    ("apt-get", "install"),
    ("dnf", "install"),
    ("zypper", "install"),
    ("pacman", "-S"),
    ("apk", "add"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Program:
    """``names``: any of them will do. ``package`` brings it, by Debian's name."""

    names: tuple[str, ...]
    package: str
    serves: str


_PROGRAMS: Final = (
    _Program(names=("bash",), package="bash", serves="every command"),
    _Program(names=("python3",), package="python3", serves="Python code"),
    _Program(names=("pip3", "pip"), package="python3-pip", serves="packages from PyPI"),
    _Program(names=("node", "nodejs"), package="nodejs", serves="JavaScript code"),
    _Program(names=("npm",), package="npm", serves="packages from npm"),
    _Program(names=("git",), package="git", serves="cloning"),
    _Program(names=("curl",), package="curl", serves="downloads, and waiting for a URL or a port"),
)


def program_findings() -> list[Finding]:
    """Which of the usual programs sandboxes have."""
    return [_finding(program) for program in _PROGRAMS] + [_sudo()]


def has_shell() -> bool:
    return _find("bash") is not None


def install_command(package: str) -> str:
    """What installs a package here."""
    for manager, verb in _MANAGERS:
        if shutil.which(manager):
            sudo = "" if os.geteuid() == 0 else "sudo "
            return f"{sudo}{manager} {verb} {package}"
    return f"install {package}"


def _finding(program: _Program) -> Finding:
    path = next(filter(None, map(_find, program.names)), None)
    title = f"{program.names[0]} in sandboxes"
    if path is not None:
        return Finding(name=program.names[0], title=title, ok=True, detail=path)
    return Finding(
        name=program.names[0],
        title=title,
        ok=False,
        detail=f"this host has none in {_PATH.replace(':', ', ')}; it serves {program.serves}",
        remedy=install_command(program.package),
    )


def _sudo() -> Finding:
    """Never missing: machines get a stand-in."""
    return Finding(
        name="sudo", title="sudo in sandboxes", ok=True, detail=_find("sudo") or "a stand-in of the engine's own"
    )


def _find(name: str) -> str | None:
    return shutil.which(name, path=_PATH)
