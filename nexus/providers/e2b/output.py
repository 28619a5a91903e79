"""Output of processes on its way to a report: whole lines, and the last of them kept for error messages."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final, Protocol

from nexus.providers.reporting import Report

TAIL_LINES: Final = 20
_LONGEST: Final = 16_384


class Lines:
    """Cuts chunks of text into lines. A line that never ends is handed on in pieces."""

    def __init__(self, emit: Callable[[str], None]) -> None:
        self._emit = emit
        self._rest = ""

    def feed(self, chunk: str) -> None:
        *lines, self._rest = (self._rest + chunk).split("\n")
        for line in lines:
            self._emit(line.removesuffix("\r"))
        if len(self._rest) > _LONGEST:
            self.close()

    def close(self) -> None:
        """Hands on what has no line end."""
        if self._rest:
            self._emit(self._rest)
            self._rest = ""


class Sink(Protocol):
    """Takes the output of a command while it runs, in the pieces in which it comes."""

    def stdout(self, chunk: str) -> None: ...

    def stderr(self, chunk: str) -> None: ...

    def close(self) -> None:
        """The command has ended."""


class Output:
    """Where a command's output goes while it runs: to the report, line by line."""

    def __init__(self, report: Report) -> None:
        self._tail: deque[str] = deque(maxlen=TAIL_LINES)
        self._streams = {name: Lines(self._emitter(report, name)) for name in ("stdout", "stderr")}

    def _emitter(self, report: Report, stream: str) -> Callable[[str], None]:
        def emit(line: str) -> None:
            self._tail.append(line)
            report.log(stream, line)

        return emit

    def stdout(self, chunk: str) -> None:
        self._streams["stdout"].feed(chunk)

    def stderr(self, chunk: str) -> None:
        self._streams["stderr"].feed(chunk)

    def close(self) -> None:
        for lines in self._streams.values():
            lines.close()

    @property
    def tail(self) -> str:
        """The last lines of both streams, as they came."""
        return "\n".join(self._tail)


class Capture:
    """Output handed on as it comes, and remembered as far as ``kept`` characters of each stream go."""

    def __init__(self, on_output: Callable[[str, str], None] | None, kept: int) -> None:
        self._on_output = on_output
        self._texts = {name: _Ends(kept) for name in ("stdout", "stderr")}

    def stdout(self, chunk: str) -> None:
        self._take("stdout", chunk)

    def stderr(self, chunk: str) -> None:
        self._take("stderr", chunk)

    def close(self) -> None:
        """Nothing is held back."""

    def text(self, stream: str) -> str:
        return self._texts[stream].text

    def _take(self, stream: str, chunk: str) -> None:
        self._texts[stream].add(chunk)
        if self._on_output is not None:
            self._on_output(stream, chunk)


class _Ends:
    """The beginning and the end of a text of any length."""

    def __init__(self, limit: int) -> None:
        self._half = limit // 2
        self._beginning: list[str] = []
        self._room = limit - self._half
        self._end: deque[str] = deque()
        self._end_length = 0
        self._left_out = 0

    def add(self, chunk: str) -> None:
        if self._room:
            self._beginning.append(chunk[: self._room])
            chunk, self._room = chunk[self._room :], max(self._room - len(chunk), 0)
        if chunk:
            self._end.append(chunk)
            self._end_length += len(chunk)
        while self._end and self._end_length - len(self._end[0]) >= self._half:
            self._forget(len(self._end[0]))

    @property
    def text(self) -> str:
        beginning, end = "".join(self._beginning), "".join(self._end)
        surplus = max(len(end) - self._half, 0)
        missing = self._left_out + surplus
        if not missing:
            return beginning + end
        return f"{beginning}\n[... {missing} characters are left out ...]\n{end[surplus:]}"

    def _forget(self, length: int) -> None:
        self._end.popleft()
        self._end_length -= length
        self._left_out += length
