"""Which commit a project's files are of, and what they were at another one: the real ``git`` is asked."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from nexus.manifest.git import COMMAND, git_environment
from nexus.manifest.loading import MANIFEST_NAME
from nexus.model.diagnostics import DiagnosticsError, error
from nexus.model.state import Commit

_PATIENCE: Final = 60.0
_KEPT: Final = 3
"""Folders of commits that stay: a plan of the same one need not write them again."""
_IN_USE: Final = 3600.0
"""Seconds since its last use in which a folder stays whatever there is: somebody may be planning by it."""
_TITLE: Final = 200


@dataclass(frozen=True, slots=True, repr=False)
class _Git:
    """Git in one folder, asked without a terminal, hooks or locks. Raises OSError, SubprocessError."""

    folder: Path
    process: Mapping[str, str]
    own: Mapping[str, str] = field(default_factory=dict)

    def __call__(self, *arguments: str) -> str:
        done = subprocess.run(
            [*COMMAND, *arguments],
            cwd=self.folder,
            env=git_environment(self.process, GIT_OPTIONAL_LOCKS="0", **self.own),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_PATIENCE,
            check=True,
        )
        return done.stdout.strip()


def commit_of(root: Path, process: Mapping[str, str]) -> Commit:
    """The commit that is checked out around a project's folder, and whether the project's files are as in it."""
    git = _Git(root, process)
    try:
        commit, _, title = git("log", "-1", "--format=%H %s").partition(" ")
        changed = git("status", "--porcelain", "--untracked-files=normal", "--", ".")
    except (OSError, subprocess.SubprocessError):
        return Commit()
    return Commit(commit, title[:_TITLE], modified=bool(changed))


def files_at(root: Path, name: str, trees: Path, process: Mapping[str, str]) -> tuple[Path, Commit]:
    """A folder with the project's files as they were at a commit (its name, a branch or a tag), and which one that is.

    It is made below ``trees``. Files that Git ignores are in no commit. Raises DiagnosticsError.
    """
    git = _Git(root, process)
    try:
        commit, _, title = git("log", "-1", "--format=%H %s", "--end-of-options", name, "--").partition(" ")
        prefix = git("rev-parse", "--show-prefix")
        tree = trees / commit
        if not _is_kept(tree):
            _check_out(git, commit, prefix, tree)
            _forget_old(trees)
    except OSError as problem:
        raise _unknown(name, problem.strerror or str(problem)) from problem
    except subprocess.CalledProcessError as problem:
        raise _unknown(name, problem.stderr.strip()) from problem
    except subprocess.TimeoutExpired as problem:
        raise _unknown(name, f"Git took longer than {_PATIENCE:g} s.") from problem
    return tree / prefix, Commit(commit, title[:_TITLE])


def _is_kept(tree: Path) -> bool:
    """Whether it is there; it was used just now."""
    try:
        os.utime(tree)
    except FileNotFoundError:
        return False
    return True


def _check_out(git: _Git, commit: str, prefix: str, tree: Path) -> None:
    """The project's folder of a commit, into a tree of its own. The repository's index and files stay as they are.

    Others may do the same at the same moment: whoever comes second leaves the tree as it is.
    """
    tree.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{commit}.", dir=tree.parent))
    index = {"GIT_INDEX_FILE": f"{draft}.index"}
    try:
        top = _Git(Path(git("rev-parse", "--show-toplevel")), git.process, index)
        top(f"--work-tree={draft}", "checkout", "--force", commit, "--", prefix or ".")
        if not (draft / prefix / MANIFEST_NAME).is_file():
            raise _unknown(commit, f"That commit has no {MANIFEST_NAME} in {prefix or 'its root'}.")
        try:
            draft.rename(tree)
        except OSError:
            if not tree.is_dir():
                raise
    finally:
        Path(index["GIT_INDEX_FILE"]).unlink(missing_ok=True)
        shutil.rmtree(draft, ignore_errors=True)


def _forget_old(trees: Path) -> None:
    """Trees that were not used for long, and drafts of those who were ended while they wrote them."""
    found: list[tuple[float, Path]] = []
    for path in trees.iterdir():
        with suppress(FileNotFoundError):  # somebody else's draft has just become a tree
            found.append((path.lstat().st_mtime, path))
    for used_at, path in sorted(found, reverse=True)[_KEPT:]:
        if time.time() - used_at > _IN_USE:
            shutil.rmtree(path, ignore_errors=True)


def _unknown(name: str, detail: str) -> DiagnosticsError:
    return DiagnosticsError(
        error(
            "unknown-revision",
            f"The project's files at «{name}» can't be had",
            detail=detail,
            hint="name a number of «nexus history», or a commit, branch or tag of the project's Git repository",
        )
    )
