"""What a template's build says, in the words of the manifest: not in those of the scripts that nexus has it run."""

from __future__ import annotations

import contextlib
import io
import re
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from e2b.exceptions import BuildException
from e2b.template.logger import LogEntry, LogEntryEnd, LogEntryStart

from nexus.providers.e2b.output import TAIL_LINES
from nexus.providers.reporting import Report

_BEGINS: Final = re.compile(r"^(CACHED )?\[(?P<part>base|builder \d+/\d+|finalize)\] (?!\[std)")
_OUTPUT_OF: Final = re.compile(r"^\[(builder \d+/\d+|finalize)\] \[(stdout|stderr)\]: ")
_SAYS_NOTHING: Final = (
    "Requesting build for template",
    "Uploaded '",
    "Skipping upload of '",
    "All file uploads completed",
    "Starting building",
    "Waiting for logs",
    "Build failed: ",  # the exception says it again
)
"""What lines begin with that tell of the SDK's work, under names that the user has never seen."""

_PRINTING: Final = threading.Lock()


@contextlib.contextmanager
def what_is_printed() -> Iterator[io.StringIO]:
    """Takes what is printed within. The process has one stdout: of two threads at once, one would leave the other's."""
    with _PRINTING, contextlib.redirect_stdout(io.StringIO()) as printed:
        yield printed


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildStep:
    """A command of a build: what is run, what people know it by, and the field of the block that asks for it.

    ``copies`` is a file of the build context that it needs, and where. ``hint`` says what to do when it fails.
    """

    script: str
    said: str
    field: str
    hint: str = ""
    copies: tuple[str, str] | None = None

    @property
    def command(self) -> str:
        """The script, ended by its first failing line.

        In a subshell: E2B runs it in a login shell, where an ``exit`` of its own would have ``.bash_logout`` decide.
        """
        return f"(\nset -eo pipefail\n{self.script}\n)"


class BuildLog:
    """A build's log on its way to the report; of the step under way, the last lines are kept for the error message.

    ``is_finalizing``: the commands are done, and what is started waits until it is ready.
    """

    def __init__(self, steps: Sequence[BuildStep], report: Report) -> None:
        self.steps = steps
        self._report = report
        self._tail: list[str] = []
        self.is_finalizing = False

    def __call__(self, entry: LogEntry) -> None:
        if isinstance(entry, LogEntryStart | LogEntryEnd) or entry.message.startswith(_SAYS_NOTHING):
            return
        lines = _OUTPUT_OF.sub("", self._readable(entry.message)).splitlines()
        for line in lines:
            self._report.log("build", line)
        begins = _BEGINS.match(entry.message)
        if begins is None:
            self._tail = [*self._tail, *lines][-TAIL_LINES:]
        else:
            self._tail, self.is_finalizing = [], begins["part"] == "finalize"

    def failed_step(self, problem: BuildException) -> BuildStep | None:
        """The step whose command the message is about; None where it is about something else."""
        return next((step for step in self.steps if step.command in str(problem)), None)

    def told(self, problem: BuildException) -> str:
        """The last lines that the failed step wrote, and the message without the command that it quotes."""
        step, message = self.failed_step(problem), str(problem)
        return "\n".join([*self._tail, message if step is None else message.rpartition(step.command)[2].lstrip("': ")])

    def _readable(self, text: str) -> str:
        for step in self.steps:
            text = text.replace(step.command, step.said)
        return text
