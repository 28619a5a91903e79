"""The real ``git`` as it is called here, whoever calls it: asks nobody, runs no hooks, and stays where it is meant."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

COMMAND: Final = ("git", "-c", "core.hooksPath=/dev/null", "-c", "protocol.ext.allow=never", "-c", "gc.auto=0")

_OF_OTHERS: Final = (
    "GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_NAMESPACE", "GIT_PREFIX",
)  # fmt: skip
"""Variables that would turn Git to another repository, as those of a hook do."""


def git_environment(process: Mapping[str, str], **own: str) -> dict[str, str]:
    """What Git runs in: ``process``, the environment around, but for what would turn it elsewhere; and its ``own``."""
    around = {name: value for name, value in process.items() if name not in _OF_OTHERS}
    return {**around, "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C", **own}
