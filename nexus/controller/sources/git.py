"""A Git repository, by the real ``git``: fetched into a bare one, and each commit checked out into a folder of its own.

Nothing of a repository runs here: neither hooks nor submodules.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from nexus.controller.settings import GitPlace
from nexus.controller.sources.base import Revision
from nexus.controller.sources.program import GitProgram
from nexus.manifest import MANIFEST_NAME
from nexus.model.diagnostics import DiagnosticsError, error
from nexus.model.state import Commit

_REF: Final = "refs/nexus/wanted"
_TITLE: Final = 200
_KEPT_TREES: Final = 3
"""Folders of commits that stay: an apply may still read an older one."""


class GitSource:
    """One branch or tag. ``folder`` is the source's own; ``process`` is the environment that Git runs in."""

    def __init__(self, place: GitPlace, folder: Path, process: Mapping[str, str]) -> None:
        self._place = place
        self._repository = folder / "repository.git"
        self._trees = folder / "trees"
        self._git = GitProgram(self._repository, place.url, process)

    @property
    def pause(self) -> float | None:
        return None

    async def refresh(self) -> Revision:
        await self._prepare()
        await self._fetch()
        commit = await self._git.run("rev-parse", "--verify", f"{_REF}^{{commit}}")
        if self._place.verify:
            await self._verify(commit)
        tree = await self._checked_out(commit)
        title = await self._git.run("log", "-1", "--format=%s", commit)
        title = title[:_TITLE]
        return Revision(commit, _within(tree, self._place.path) / MANIFEST_NAME, title, Commit(commit, title))

    async def _prepare(self) -> None:
        if not (self._repository / "HEAD").is_file():
            self._trees.mkdir(parents=True, exist_ok=True, mode=0o700)
            await self._git.run("init", "--quiet", "--bare", "--template=", str(self._repository))

    async def _fetch(self) -> None:
        wanted = f"refs/tags/{self._place.tag}" if self._place.tag else f"refs/heads/{self._place.branch}"
        await self._git.run(
            "fetch", "--quiet", "--no-tags", "--depth=1", "--no-write-fetch-head", "--no-recurse-submodules", "--",
            self._place.url, f"+{wanted}:{_REF}",
        )  # fmt: skip

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
            draft.mkdir(parents=True)
            index = {"GIT_INDEX_FILE": str(self._trees / f".{commit}.index")}
            await self._git.run(
                "--work-tree=.", "checkout", "--force", commit, "--", ".", environment=index, folder=draft
            )  # fmt: skip
            Path(index["GIT_INDEX_FILE"]).unlink(missing_ok=True)
            draft.rename(tree)
        os.utime(tree)
        await asyncio.to_thread(self._forget_old)
        return tree

    def _forget_old(self) -> None:
        trees = sorted(self._trees.iterdir(), key=lambda path: path.lstat().st_mtime, reverse=True)
        for path in [path for path in trees if path.is_dir()][_KEPT_TREES:]:
            shutil.rmtree(path, ignore_errors=True)


def _within(tree: Path, path: str) -> Path:
    """A folder of the tree. Raises DiagnosticsError for one that leads out of it."""
    folder = (tree / path).resolve()
    if not folder.is_relative_to(tree.resolve()):
        raise DiagnosticsError(error("source-unavailable", "The project's path leads out of the repository"))
    return folder
