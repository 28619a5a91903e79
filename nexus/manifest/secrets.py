"""Secrets: read from where the manifest says they are, when they are needed, and never shown.

Messages name a secret and its source. Nothing that a source answers, not even on failure, gets into one.
"""

from __future__ import annotations

import subprocess
from collections.abc import Collection, Mapping
from pathlib import Path

from nexus.manifest.loading import Manifest
from nexus.model.diagnostics import Diagnostic, Diagnostics, DiagnosticsError, error
from nexus.model.values import Sensitive, Value

COMMAND_TIMEOUT = 60.0
SOURCES = ("env", "file", "command")


class _Unavailable(Exception):  # noqa: N818 - caught where the place is known
    """The message says what is wrong with the source, and nothing of the value."""


def resolve_secrets(
    manifest: Manifest,
    environment: Mapping[str, str],
    *,
    only: Collection[str] | None = None,
    timeout: float = COMMAND_TIMEOUT,
) -> tuple[dict[str, Value], tuple[Diagnostic, ...]]:
    """Values of the manifest's secrets, each a Sensitive text, and what could not be had.

    ``environment`` is what ``env:`` looks into, and what commands run with; ``only`` limits it to these names. One
    line break at the end of a file or of a command's output is not part of the secret.
    """
    values: dict[str, Value] = {}
    diagnostics = Diagnostics()
    for name, source in manifest.section("secrets").items():
        if only is not None and name not in only:
            continue
        try:
            values[name] = Sensitive(_read(source, manifest.root, environment, timeout))
        except _Unavailable as problem:
            diagnostics.add(
                error(
                    "secret-unavailable",
                    f"The secret {name} can't be read: {problem}",
                    hint=_remedy(source),
                    range=manifest.places(("secrets", name)),
                )
            )
    return values, tuple(diagnostics)


def read_secret(source: Mapping[str, str], root: Path, environment: Mapping[str, str], name: str) -> str:
    """One secret from its source. Raises DiagnosticsError when it can't be had; ``name`` is what messages call it."""
    try:
        return _read(dict(source), root, environment, COMMAND_TIMEOUT)
    except _Unavailable as problem:
        raise DiagnosticsError(
            error("secret-unavailable", f"The secret {name} can't be read: {problem}", hint=_remedy(source))
        ) from None


def _remedy(source: object) -> str:
    match source:
        case {"env": str(variable)}:
            return f"set it for this command: {variable}=… nexus …"
        case {"file": str(path)}:
            return f"write the value into {path}, and see that Git ignores the file"
        case _:
            return "try the command in a shell: what it prints is the value"


def _read(source: object, root: Path, environment: Mapping[str, str], timeout: float) -> str:
    match source:
        case {"env": str(variable)}:
            text = environment.get(variable)
            if text is None:
                raise _Unavailable(f"the environment variable {variable} is not set")
            where = f"the environment variable {variable}"
        case {"file": str(path)}:
            text = _without_newline(_file(path, root))
            where = path
        case {"command": str(command)}:
            text = _without_newline(_command(command, root, environment, timeout))
            where = "what its command wrote"
        case _:
            raise _Unavailable(f"it has none of the sources {', '.join(SOURCES)}")
    if not text:
        raise _Unavailable(f"{where} is empty")
    return text


def _file(path: str, root: Path) -> bytes:
    """A secret's file may be anywhere: secrets are seldom kept in projects."""
    try:
        return (root / Path(path).expanduser()).read_bytes()
    except (OSError, RuntimeError, ValueError) as problem:
        reason = problem.strerror if isinstance(problem, OSError) else "its path leads nowhere"
        raise _Unavailable(f"{path}: {reason}") from None


def _command(command: str, root: Path, environment: Mapping[str, str], timeout: float) -> bytes:
    try:
        done = subprocess.run(
            ["sh", "-c", command],
            cwd=root,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise _Unavailable(f"its command took longer than {timeout:g} seconds") from None
    except OSError as problem:
        raise _Unavailable(f"its command can't be started: {problem.strerror}") from None
    if done.returncode != 0:
        raise _Unavailable(f"its command ended with exit code {done.returncode}; run it yourself to see why")
    return done.stdout


def _without_newline(data: bytes) -> str:
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise _Unavailable("it is not UTF-8 text") from None
    return text.removesuffix("\n").removesuffix("\r")
