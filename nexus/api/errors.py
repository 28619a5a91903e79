"""What the Python API raises. Every error carries diagnostics: what is wrong, where, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from nexus.model.diagnostics import Diagnostic, DiagnosticsError, error
from nexus.workflows.applying import Applied

NexusError = DiagnosticsError
"""Anything that went wrong and that somebody can mend; ``diagnostics`` say what, where, and how."""

_STALE = "plan-stale"


class ManifestError(NexusError):
    """The manifest is wrong. ``diagnostics`` are all errors at once, and the warnings."""


class StalePlanError(NexusError):
    """A plan is not what would be done by now, so nothing was done. ``differences`` are sentences."""

    @property
    def differences(self) -> tuple[str, ...]:
        return tuple(line for item in self.diagnostics if item.code == _STALE for line in item.detail.splitlines())


class ApplyError(NexusError):
    """Some of an apply or a destroy failed. What was done is on record, and the next apply continues.

    ``applied`` tells how each part ended.
    """

    def __init__(self, applied: Applied, diagnostics: Iterable[Diagnostic]) -> None:
        super().__init__(diagnostics)
        self.applied = applied


@contextmanager
def of_the_manifest() -> Iterator[None]:
    """Whatever is wrong in here is wrong with the manifest."""
    try:
        yield
    except DiagnosticsError as problem:
        raise ManifestError(problem.diagnostics) from problem


@contextmanager
def refusing_stale_plans() -> Iterator[None]:
    """A refusal of a plan gets a type of its own."""
    try:
        yield
    except DiagnosticsError as problem:
        if any(item.code == _STALE for item in problem.diagnostics):
            raise StalePlanError(problem.diagnostics) from problem
        raise


def raise_if_failed(applied: Applied) -> Applied:
    """``applied`` as it is. Raises ApplyError when some of it failed, from the fault of nexus where that was why."""
    result = applied.result
    if result is None or result.succeeded:
        return applied
    diagnostics = applied.diagnostics
    if result.interrupted:
        diagnostics = (_interrupted(), *diagnostics)
    raise ApplyError(applied, diagnostics) from (result.bugs[0] if result.bugs else None)


def _interrupted() -> Diagnostic:
    return error(
        "interrupted",
        "It was interrupted before all was done",
        detail="What was done is on record.",
        hint="apply again: it goes on from there",
    )
