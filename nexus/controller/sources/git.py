"""A Git repository, by the real ``git``: fetched into a bare one, and each commit checked out into a folder of its own.

Nothing of a repository runs here: no hooks, and no filters but those of this machine's user.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import shutil
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from nexus.controller.settings import GitPlace
from nexus.controller.sources.base import Revision
from nexus.controller.sources.program import GitProgram
from nexus.controller.sources.submodules import Submodules
from nexus.controller.sources.trees import check_out, within
from nexus.manifest import MANIFEST_NAME
from nexus.model.diagnostics import DiagnosticsError, error
from nexus.model.state import Commit

_REF: Final = "refs/nexus/wanted"
_TITLE: Final = 200
_GLANCE: Final = 0.05
"""Seconds between two looks whether another controller is done."""

_KEPT_TREES: Final = 3
"""Folders of commits that stay: an apply may still read an older one."""


class GitSource:
    """One branch or tag. ``folder`` is the source's own; ``process`` is the environment that Git runs in."""

    def __init__(self, place: GitPlace, folder: Path, process: Mapping[str, str]) -> None:
        self._place = place
        self._folder = folder
        self._trees = folder / "trees"
        self._git = GitProgram(folder / "repository.git", place.url, process)
        self._submodules = Submodules(folder / "submodules", process)

    @property
    def pause(self) -> float | None:
        return None

    async def refresh(self) -> Revision:
        async with self._turn():
            return await self._refresh()

    async def _refresh(self) -> Revision:
        await self._git.prepare()
        await self._fetch()
        commit = await self._git.run("rev-parse", "--verify", f"{_REF}^{{commit}}")
        if self._place.verify:
            await self._verify(commit)
        tree = await self._checked_out(commit)
        title = await self._git.run("log", "-1", "--format=%s", commit)
        title = title[:_TITLE]
        return Revision(commit, within(tree, self._place.path) / MANIFEST_NAME, title, Commit(commit, title))

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        """Several controllers of this machine may keep the same project."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            while not _is_ours(descriptor):  # noqa: ASYNC110 - it is another process that is waited for
                await asyncio.sleep(_GLANCE)
            yield
        finally:
            os.close(descriptor)

    async def _fetch(self) -> None:
        wanted = f"refs/tags/{self._place.tag}" if self._place.tag else f"refs/heads/{self._place.branch}"
        await self._git.fetch(f"+{wanted}:{_REF}", "--depth=1")

    async def _verify(self, commit: str) -> None:
        """A signed tag vouches for its commit, as a signature of the commit itself does."""
        signers = self._place.allowed_signers
        options = () if signers is None else ("-c", f"gpg.ssh.allowedSignersFile={signers}")
        kind = await self._git.run("cat-file", "-t", _REF)
        attempts = [("verify-tag", _REF)] if kind == "tag" else []
        problems: list[str] = []
        for verb, name in (*attempts, ("verify-commit", commit)):
            try:
                await self._git.run(verb, name, options=options)
            except DiagnosticsError as problem:
                problems.append(problem.diagnostics[0].detail)
            else:
                return
        raise DiagnosticsError(
            error(
                "signature-refused",
                "The commit bears no good signature",
                detail="\n".join([f"Commit {commit}.", *problems]).strip(),
                hint="sign it with a key that this machine trusts; what was applied before stays as it is",
            )
        )

    async def _checked_out(self, commit: str) -> Path:
        tree = self._trees / commit
        if not tree.is_dir():
            draft = self._trees / f".{commit}.new"
            shutil.rmtree(draft, ignore_errors=True)
            await check_out(self._git, commit, draft)
            await self._submodules.fill(self._git, commit, draft)
            draft.rename(tree)
        os.utime(tree)
        await asyncio.to_thread(self._forget_old)
        return tree

    def _forget_old(self) -> None:
        trees = sorted(self._trees.iterdir(), key=lambda path: path.lstat().st_mtime, reverse=True)
        for path in [path for path in trees if path.is_dir()][_KEPT_TREES:]:
            shutil.rmtree(path, ignore_errors=True)


def _is_ours(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
