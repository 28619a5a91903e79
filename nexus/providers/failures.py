"""The published codes of what can go wrong with a live sandbox: the same in texts, ``--json`` and the Python API."""

from __future__ import annotations

from typing import Final

from nexus.model.diagnostics import Diagnostic

SANDBOX_NOT_FOUND: Final = "sandbox-not-found"
SANDBOX_NOT_RUNNING: Final = "sandbox-not-running"
EXECUTION_TIMEOUT: Final = "execution-timeout"
EXECUTION_ERROR: Final = "execution-error"
INSUFFICIENT_RESOURCES: Final = "insufficient-resources"
PERMISSION_DENIED: Final = "permission-denied"
QUOTA_EXCEEDED: Final = "quota-exceeded"

PUBLISHED: Final = (
    SANDBOX_NOT_FOUND,
    SANDBOX_NOT_RUNNING,
    EXECUTION_TIMEOUT,
    EXECUTION_ERROR,
    INSUFFICIENT_RESOURCES,
    PERMISSION_DENIED,
    QUOTA_EXCEEDED,
)


def error_code(diagnostic: Diagnostic) -> str | None:
    """The published code of a failure, such as ``SANDBOX_NOT_FOUND``; None for those that have none."""
    return diagnostic.code.upper().replace("-", "_") if diagnostic.code in PUBLISHED else None
