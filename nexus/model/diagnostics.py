"""Errors and warnings as data with a place. Every other room may raise or collect these."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from enum import StrEnum

from nexus.model.error_codes import PUBLISHED, ErrorCode


class Severity(StrEnum):
    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True, order=True)
class SourcePos:
    """A place in a text; both count from 1."""

    line: int
    column: int


@dataclass(frozen=True, slots=True, order=True)
class SourceRange:
    """A stretch of a file. ``file`` is relative to the project's folder; ``end`` is exclusive."""

    file: str
    start: SourcePos
    end: SourcePos

    def __str__(self) -> str:
        return f"{self.file}:{self.start.line}:{self.start.column}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnostic:
    """One thing that is wrong, or worth knowing.

    ``code`` is kebab-case and stable. ``summary`` is one line without user's names at its core, ``detail`` says in full
    sentences what is wrong and why, ``hint`` what to do about it. ``address`` is the text of the resource's address.
    """

    severity: Severity
    code: str
    summary: str
    detail: str = ""
    hint: str = ""
    address: str = ""
    range: SourceRange | None = None

    def __str__(self) -> str:
        place = f"{self.range}: " if self.range else ""
        return f"{place}{self.severity}[{self.code}]: {self.summary}"

    @property
    def error_code(self) -> ErrorCode | None:
        """The published code that this is a case of; None for what has none."""
        return PUBLISHED.get(self.code)

    def at(self, range_: SourceRange | None, address: str = "") -> Diagnostic:
        """The same diagnostic with a place, where it has none yet."""
        return replace(self, range=self.range or range_, address=self.address or address)


def error(
    code: str, summary: str, *, detail: str = "", hint: str = "", address: str = "", range: SourceRange | None = None
) -> Diagnostic:
    """A diagnostic of severity error."""
    return Diagnostic(
        severity=Severity.ERROR, code=code, summary=summary, detail=detail, hint=hint, address=address, range=range
    )


def warning(
    code: str, summary: str, *, detail: str = "", hint: str = "", address: str = "", range: SourceRange | None = None
) -> Diagnostic:
    """A diagnostic of severity warning."""
    return Diagnostic(
        severity=Severity.WARNING, code=code, summary=summary, detail=detail, hint=hint, address=address, range=range
    )


@dataclass(slots=True)
class Diagnostics:
    """A collection that stages add to, so that all errors of a run are shown at once."""

    items: list[Diagnostic] = field(default_factory=list)

    def add(self, diagnostic: Diagnostic) -> None:
        self.items.append(diagnostic)

    def extend(self, diagnostics: Iterable[Diagnostic]) -> None:
        self.items.extend(diagnostics)

    @property
    def has_errors(self) -> bool:
        return any(item.severity is Severity.ERROR for item in self.items)

    @property
    def errors(self) -> tuple[Diagnostic, ...]:
        return tuple(item for item in self.items if item.severity is Severity.ERROR)

    @property
    def warnings(self) -> tuple[Diagnostic, ...]:
        return tuple(item for item in self.items if item.severity is Severity.WARNING)

    def sorted(self) -> tuple[Diagnostic, ...]:
        """By place, those without a place last, equal ones once."""
        far = SourceRange("\uffff", SourcePos(0, 0), SourcePos(0, 0))
        unique = dict.fromkeys(self.items)
        return tuple(sorted(unique, key=lambda item: (item.range or far, item.severity, item.code, item.summary)))

    def raise_if_errors(self) -> None:
        if self.has_errors:
            raise DiagnosticsError(self.sorted())

    def __iter__(self) -> Iterator[Diagnostic]:
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)


class DiagnosticsError(Exception):
    """Raised by stages that can't go on: carries everything that is wrong, warnings included."""

    def __init__(self, diagnostics: Iterable[Diagnostic] | Diagnostic) -> None:
        items = (diagnostics,) if isinstance(diagnostics, Diagnostic) else tuple(diagnostics)
        self.diagnostics: tuple[Diagnostic, ...] = items
        super().__init__("; ".join(str(item) for item in items))

    @property
    def error_code(self) -> ErrorCode | None:
        """The published code of the first error that has one."""
        return published_code(self.diagnostics)


def published_code(diagnostics: Iterable[Diagnostic]) -> ErrorCode | None:
    """The published code of the first error that has one; None where none has."""
    errors = (item for item in diagnostics if item.severity is Severity.ERROR)
    return next((item.error_code for item in errors if item.error_code is not None), None)
