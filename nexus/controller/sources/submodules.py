"""The submodules of a commit, and theirs: each fetched at the commit that the repository names, and put in its place.

Done from what the commit's ``.gitmodules`` says, and not by «git submodule», which keeps repositories under names and
with settings that others chose. Git itself vouches for the content: a submodule's commit is part of the repository's.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from nexus.controller.sources.program import GitProgram, is_local
from nexus.controller.sources.trees import check_out, within
from nexus.model.diagnostics import DiagnosticsError, error

_MOST: Final = 200
"""Submodules of one commit, those of submodules counted; more are refused rather than fetched for hours."""

_REMOTE: Final = "git:http:https:ssh"
_LOCAL: Final = f"file:{_REMOTE}"
"""How submodules may be fetched. Files of this machine are only for repositories that are on it themselves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Submodule:
    """``url`` may be relative to that of the repository it is in."""

    path: str
    commit: str
    url: str


class Submodules:
    """Those of one source. ``folder`` is for their repositories; ``process`` is the environment that Git runs in."""

    def __init__(self, folder: Path, process: Mapping[str, str]) -> None:
        self._folder = folder
        self._process = process

    async def fill(self, git: GitProgram, commit: str, tree: Path) -> None:
        """Put all submodules of a commit into a tree that holds the rest of it. Raises DiagnosticsError."""
        left = [(git, commit, tree)]
        count = 0
        while left:
            parent, name, place = left.pop()
            async for submodule in _listed(parent, name):
                count += 1
                if count > _MOST:
                    raise _refused(submodule.path, f"There are more than {_MOST} of them.")
                inside = within(place, submodule.path)
                left.append((await self._fetched(parent, submodule), submodule.commit, inside))
                await check_out(left[-1][0], submodule.commit, inside)

    async def _fetched(self, parent: GitProgram, submodule: _Submodule) -> GitProgram:
        """Its repository, with the commit in it: all of its branches where a server does not give away single ones."""
        url = absolute(parent.url, submodule.url)
        repository = self._folder / hashlib.sha256(url.encode()).hexdigest()[:16]
        allowed = _allowed(_LOCAL if is_local(parent.url) else _REMOTE, self._process.get("GIT_ALLOW_PROTOCOL"))
        git = GitProgram(repository, url, {**self._process, "GIT_ALLOW_PROTOCOL": allowed})
        await git.prepare()
        try:
            if not await _has(git, submodule.commit):
                with suppress(DiagnosticsError):
                    await git.fetch(submodule.commit, "--depth=1")
            if not await _has(git, submodule.commit):
                await git.fetch("+refs/heads/*:refs/nexus/heads/*")
                await git.run("cat-file", "-e", f"{submodule.commit}^{{commit}}")
        except DiagnosticsError as problem:
            raise _refused(submodule.path, problem.diagnostics[0].detail) from problem
        return git


async def _listed(git: GitProgram, commit: str) -> AsyncIterator[_Submodule]:
    """Those that the commit itself has. As for Git, one with ``update = none`` is left out."""
    entries = [entry.partition("\t") for entry in (await git.run("ls-tree", "-r", "-z", commit)).split("\0") if entry]
    linked = {path: head.split(" ")[2] for head, _, path in entries if head.startswith("160000 ")}
    if not linked:
        return
    said = await _settings(git, commit)
    by_path = {fields["path"]: fields for fields in said.values() if "path" in fields}
    for path, wanted in linked.items():
        fields = by_path.get(path, {})
        if fields.get("update") == "none":
            continue
        if not fields.get("url"):
            raise _refused(path, "The file .gitmodules says no address for it.")
        yield _Submodule(path=path, commit=wanted, url=fields["url"])


async def _settings(git: GitProgram, commit: str) -> dict[str, dict[str, str]]:
    """What ``.gitmodules`` says of each, by its name. As in the commit: in the tree it could be a link elsewhere."""
    try:
        text = await git.run("config", "--blob", f"{commit}:.gitmodules", "-z", "--list")
    except DiagnosticsError:
        return {}
    said: dict[str, dict[str, str]] = {}
    for entry in filter(None, text.split("\0")):
        key, _, value = entry.partition("\n")
        section, _, rest = key.partition(".")
        name, _, setting = rest.rpartition(".")
        if section == "submodule":
            said.setdefault(name, {})[setting] = value
    return said


async def _has(git: GitProgram, commit: str) -> bool:
    try:
        await git.run("cat-file", "-e", f"{commit}^{{commit}}")
    except DiagnosticsError:
        return False
    return True


def absolute(base: str, url: str) -> str:
    """A submodule's address, as Git takes it: one that begins with a dot is relative to its repository's."""
    if not url.startswith(("./", "../")):
        return url
    base, joint = base.rstrip("/"), "/"
    while url.startswith(("./", "../")):
        if url.startswith("../"):
            cut = max(base.rfind("/"), base.rfind(":"))  # user@host:path has a colon before its first part
            base, joint = (base[:cut], base[cut]) if cut >= 0 else ("", "")
        url = url.partition("/")[2]
    return f"{base}{joint}{url}"


def _allowed(ours: str, users: str | None) -> str:
    """Ours, as far as the controller's user allows them, too."""
    if users is None:
        return ours
    return ":".join(item for item in ours.split(":") if item in users.split(":"))


def _refused(path: str, detail: str) -> DiagnosticsError:
    return DiagnosticsError(
        error(
            "source-unavailable",
            f"The submodule {path} can't be had",
            detail=detail,
            hint="the controller needs access to it, too; «update = none» in .gitmodules leaves out one that nobody "
            "needs; what was applied before goes on being kept",
        )
    )
