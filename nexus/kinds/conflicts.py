"""Fields that can't stand beside each other, or can't do without each other, in one block."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

LANGUAGE_OF_SUFFIX: Final = {
    ".py": "python",
    ".js": "javascript",
    ".mjs": "javascript",
    ".cjs": "javascript",
    ".sh": "bash",
    ".bash": "bash",
}
"""What the name of a step's file tells of its language."""

BASES: Final = ("base_template", "image", "dockerfile")


@dataclass(frozen=True, slots=True, kw_only=True)
class Conflict:
    """What is wrong with a block as a whole; ``field`` is where a message should point."""

    field: str
    code: str
    summary: str
    detail: str = ""
    hint: str = ""


def conflicts(kind: str, block: Mapping[str, object]) -> Iterator[Conflict]:
    """What is wrong with the fields of ``block`` taken together, as far as their values are known."""
    check = _CHECKS.get(kind)
    if check is not None:
        yield from check({name: value for name, value in block.items() if value is not None})


def _sandbox(block: Mapping[str, object]) -> Iterator[Conflict]:
    if block.get("auto_resume") is True and block.get("on_timeout", "kill") == "kill":
        yield Conflict(
            field="auto_resume",
            code="conflicting-fields",
            summary="auto_resume needs on_timeout: pause",
            detail="A sandbox that is killed when its time is up can't be resumed.",
            hint="add on_timeout: pause",
        )

    yield from _log_of_nothing(block)


def _log_of_nothing(block: Mapping[str, object]) -> Iterator[Conflict]:
    ready = block.get("ready")
    if isinstance(ready, Mapping) and ready.get("log") is not None and "start_command" not in block:
        yield Conflict(
            field="ready",
            code="conflicting-fields",
            summary="ready.log needs start_command",
            detail="What is looked at is what start_command writes.",
            hint="add start_command, or wait for a file or a port",
        )


def _template(block: Mapping[str, object]) -> Iterator[Conflict]:
    yield from _log_of_nothing(block)
    written = [name for name in BASES if name in block]
    if len(written) > 1:
        yield Conflict(
            field=written[1],
            code="conflicting-fields",
            summary=f"{' and '.join(written)} say what to build on at once",
            hint="keep one of them",
        )


def _step(block: Mapping[str, object]) -> Iterator[Conflict]:
    if "run" in block and ("code" in block or "language" in block):
        yield Conflict(
            field="run",
            code="conflicting-fields",
            summary="run stands for code and language",
            hint="keep run for bash, or code with its language",
        )
    elif "run" not in block and "code" not in block:
        yield Conflict(
            field="",
            code="missing-field",
            summary="The step does not say what it runs",
            hint="add run: or code:",
        )
    elif "code" in block and "language" not in block and inferred_language(block["code"]) is None:
        yield Conflict(
            field="code",
            code="missing-field",
            summary="The step does not say in which language its code is",
            hint="add language: python, javascript or bash",
        )
    if block.get("cache") is True and block.get("on") == "always":
        yield Conflict(
            field="cache",
            code="conflicting-fields",
            summary="cache can't stand beside on: always",
            detail="One says that an earlier run of the same is enough, the other that it never is.",
            hint="take one of them away",
        )


def inferred_language(code: object) -> str | None:
    """The language that the name of a step's file tells."""
    path = code.get("file") if isinstance(code, Mapping) else None
    return LANGUAGE_OF_SUFFIX.get(posixpath.splitext(path)[1]) if isinstance(path, str) else None


_CHECKS: Final[Mapping[str, Callable[[Mapping[str, object]], Iterator[Conflict]]]] = {
    "sandbox": _sandbox,
    "template": _template,
    "step": _step,
}
