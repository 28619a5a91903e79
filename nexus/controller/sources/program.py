"""The real ``git``, run for one repository: never asks anybody, runs no hooks, and tells no secret of the address."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit, urlunsplit

from nexus.manifest import GIT_COMMAND, git_environment
from nexus.model.diagnostics import DiagnosticsError, error

PATIENCE: Final = 120.0
"""Seconds that one call of Git may take."""


class GitProgram:
    """``repository`` is the bare one to work on, ``url`` where it is fetched from, ``process`` the environment."""

    def __init__(self, repository: Path, url: str, process: Mapping[str, str]) -> None:
        self.repository = repository
        self.url = url
        self.shown = without_credentials(url)
        self._process = git_environment(process, GIT_DIR=str(repository))

    @property
    def filters(self) -> tuple[str, ...]:
        """Options for a checkout: files of Git LFS are fetched where the address leads, if there is a ``git-lfs``."""
        if shutil.which("git-lfs", path=self._process.get("PATH")) is None:
            return ()
        lfs = (f"remote.origin.url={self.url}", "filter.lfs.required=true", "filter.lfs.smudge=git-lfs smudge -- %f")
        return tuple(word for setting in lfs for word in ("-c", setting))

    async def prepare(self) -> None:
        """Make the repository, where there is none yet."""
        if not (self.repository / "HEAD").is_file():
            self.repository.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            await self.run("init", "--quiet", "--bare", "--template=", str(self.repository))

    async def fetch(self, wanted: str, *options: str) -> None:
        """``wanted`` is what Git calls a refspec."""
        await self.run(
            "fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--no-recurse-submodules", *options, "--",
            self.url, wanted,
        )  # fmt: skip

    async def run(
        self,
        *arguments: str,
        options: tuple[str, ...] = (),
        environment: Mapping[str, str] | None = None,
        folder: Path | None = None,
    ) -> str:
        """What one call writes. Raises DiagnosticsError, without what may be secret in the address, when it fails."""
        try:
            process = await asyncio.create_subprocess_exec(
                *GIT_COMMAND, *options, *arguments,
                env={**self._process, **(environment or {})},
                cwd=folder,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                start_new_session=True,
            )  # fmt: skip
        except OSError as problem:
            raise self._failed(f"Git can't be started: {problem.strerror}") from problem
        try:
            async with asyncio.timeout(PATIENCE):
                out, err = await process.communicate()
        except TimeoutError:
            raise self._failed(f"«git {arguments[0]}» took longer than {PATIENCE:g} s") from None
        finally:
            if process.returncode is None:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                await process.wait()
        if process.returncode != 0:
            raise self._failed(err.decode("utf-8", "replace").strip() or f"«git {arguments[0]}» failed")
        return out.decode("utf-8", "replace").strip()

    def _failed(self, detail: str) -> DiagnosticsError:
        for secret in _secrets(self.url):
            detail = detail.replace(secret, "…")
        return DiagnosticsError(
            error(
                "source-unavailable",
                "The repository can't be read",
                detail=f"{self.shown}: {detail}",
                hint="the controller asks again; what it has fetched before goes on being kept",
            )
        )


def without_credentials(url: str) -> str:
    """The address without a user's name and password, and without a query: either may be a secret."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "(an address that can't be read)"
    if not parts.scheme or not parts.netloc:
        return url  # a path, or user@host:path, which has no place for a password
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def is_local(url: str) -> bool:
    """Whether it is a folder of this machine: a path, or a file's address."""
    scheme, found, _ = url.partition("://")
    if found:
        return scheme == "file"
    return ":" not in url.partition("/")[0]  # user@host:path is not


def _secrets(url: str) -> Iterator[str]:
    """Every part of the address that :func:`without_credentials` leaves out, however Git may repeat it."""
    if without_credentials(url) == url:
        return
    yield url
    with suppress(ValueError):
        parts = urlsplit(url)
        user = parts.netloc.rpartition("@")[0]
        found = [user, parts.password or "", parts.query, parts.fragment]
        yield from filter(None, [*found, *map(unquote, found)])
