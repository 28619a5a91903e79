"""The published codes of errors: what programs branch on, the same in ``--json``, over MCP, and in the Python API.

nexus tells many more things apart, by codes of its own. A published code stands for all of those that call for the same
reaction; what has none is an error of its own kind, told by its own code.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final


class ErrorCode(StrEnum):
    SANDBOX_NOT_FOUND = "SANDBOX_NOT_FOUND"  # it never was, has ended, or was removed
    SANDBOX_NOT_RUNNING = "SANDBOX_NOT_RUNNING"  # it is paused, or does not answer
    EXECUTION_TIMEOUT = "EXECUTION_TIMEOUT"  # it did not end in its time
    EXECUTION_ERROR = "EXECUTION_ERROR"  # it ran, and failed
    INSUFFICIENT_RESOURCES = "INSUFFICIENT_RESOURCES"  # no memory, no disk, or no machine
    PERMISSION_DENIED = "PERMISSION_DENIED"  # the key is missing, wrong, or may not do this
    QUOTA_EXCEEDED = "QUOTA_EXCEEDED"  # the account may not have or do more


PUBLISHED: Final[Mapping[str, ErrorCode]] = MappingProxyType(
    {
        "sandbox-not-found": ErrorCode.SANDBOX_NOT_FOUND,
        "import-not-found": ErrorCode.SANDBOX_NOT_FOUND,
        "sandbox-not-running": ErrorCode.SANDBOX_NOT_RUNNING,
        "sandbox-unreachable": ErrorCode.SANDBOX_NOT_RUNNING,
        "execution-timeout": ErrorCode.EXECUTION_TIMEOUT,
        "operation-timeout": ErrorCode.EXECUTION_TIMEOUT,
        "not-ready": ErrorCode.EXECUTION_TIMEOUT,
        "no-answer": ErrorCode.EXECUTION_TIMEOUT,
        "execution-error": ErrorCode.EXECUTION_ERROR,
        "build-failed": ErrorCode.EXECUTION_ERROR,
        "insufficient-resources": ErrorCode.INSUFFICIENT_RESOURCES,
        "permission-denied": ErrorCode.PERMISSION_DENIED,
        "no-api-key": ErrorCode.PERMISSION_DENIED,
        "quota-exceeded": ErrorCode.QUOTA_EXCEEDED,
        "timeout-too-long": ErrorCode.QUOTA_EXCEEDED,
        "rate-limited": ErrorCode.QUOTA_EXCEEDED,
    }
)
"""By nexus' own codes."""
