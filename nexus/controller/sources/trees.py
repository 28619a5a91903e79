"""The files of a commit in a folder. What Git LFS keeps elsewhere ``git-lfs`` fetches, or it is said to be missing."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final

from nexus.controller.sources.program import GitProgram
from nexus.model.diagnostics import DiagnosticsError, error

_POINTER: Final = b"version https://git-lfs.github.com/spec/"
_NAMED: Final = 3


async def check_out(git: GitProgram, commit: str, folder: Path) -> None:
    """All files of a commit, into a folder that is empty. Raises DiagnosticsError."""
    folder.mkdir(parents=True, exist_ok=True)
    index = {"GIT_INDEX_FILE": str(git.repository / "index.new")}
    Path(index["GIT_INDEX_FILE"]).unlink(missing_ok=True)
    try:
        await git.run(
            "--work-tree=.", "read-tree", "--reset", "-u", commit, options=git.filters, environment=index, folder=folder
        )
        await _check_lfs(git, folder, index)
    finally:
        Path(index["GIT_INDEX_FILE"]).unlink(missing_ok=True)


async def _check_lfs(git: GitProgram, folder: Path, index: dict[str, str]) -> None:
    """Pointers in the place of files would be uploaded as if they were the files."""
    listed = await git.run(
        "--work-tree=.", "ls-files", "-z", "--", ":(attr:filter=lfs)", environment=index, folder=folder
    )
    names = [name for name in listed.split("\0") if name]
    missing = await asyncio.to_thread(lambda: [name for name in names if _is_pointer(folder / name)])
    if missing:
        more = f" and {len(missing) - _NAMED} more" if len(missing) > _NAMED else ""
        raise DiagnosticsError(
            error(
                "source-unavailable",
                "The repository keeps files with Git LFS, which could not be fetched",
                detail=f"{git.shown} has only pointers of {', '.join(missing[:_NAMED])}{more}.",
                hint="install git-lfs where the controller runs; what was applied before goes on being kept",
            )
        )


def _is_pointer(path: Path) -> bool:
    if path.is_symlink() or not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(len(_POINTER)) == _POINTER


def within(tree: Path, path: str) -> Path:
    """A folder of the tree. Raises DiagnosticsError for one that leads out of it, by its name or by a link."""
    folder = (tree / path).resolve()
    if not folder.is_relative_to(tree.resolve()):
        raise DiagnosticsError(error("source-unavailable", f"The path {path} leads out of the repository"))
    return folder
