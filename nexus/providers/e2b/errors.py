"""What the SDK raises, as what the executor needs to know: had it an effect, may it be made again, what to do."""

from __future__ import annotations

import re
from typing import Final

import httpx
from connectrpc.code import Code
from connectrpc.errors import ConnectError
from e2b import exceptions as sdk
from e2b.sandbox.commands.command_handle import CommandExitException

from nexus.model.diagnostics import DiagnosticsError, error
from nexus.providers.base import Certainty, Gone, LimitReached, ProviderError, TooFast
from nexus.providers.failures import (
    EXECUTION_ERROR,
    EXECUTION_TIMEOUT,
    INSUFFICIENT_RESOURCES,
    PERMISSION_DENIED,
    QUOTA_EXCEEDED,
    SANDBOX_NOT_RUNNING,
    error_code,
)

__all__ = [
    "EXECUTION_ERROR",
    "EXECUTION_TIMEOUT",
    "INSUFFICIENT_RESOURCES",
    "PERMISSION_DENIED",
    "QUOTA_EXCEEDED",
    "SANDBOX_NOT_RUNNING",
    "error_code",
    "failure",
    "gone",
    "not_running",
    "status_of",
    "translate",
]

_STATUS: Final = re.compile(r"^(\d{3}): ?")
_RETRY_IN: Final = re.compile(r"(?:retry|again) (?:in|after) (\d+(?:\.\d+)?) ?s", re.IGNORECASE)
_QUOTA: Final = re.compile(r"maximum number of|concurrent (sandbox|build)|limit reached", re.IGNORECASE)


def failure(
    code: str,
    summary: str,
    *,
    detail: str = "",
    hint: str = "",
    certainty: Certainty = Certainty.PERMANENT,
    address: str = "",
) -> ProviderError:
    """A ProviderError with a diagnostic of these texts."""
    return ProviderError(error(code, summary, detail=detail, hint=hint, address=address), certainty)


def gone(address: str, what: str = "sandbox") -> Gone:
    """The object was killed, ran out of time, or was deleted by somebody else."""
    return Gone(
        error(
            f"{what}-not-found",
            f"The {what} does not exist any more",
            detail=f"E2B does not know {address or f'this {what}'}: it ran out of time, or was removed.",
            hint="run «nexus apply» to make it again",
            address=address,
        )
    )


def not_running(address: str) -> ProviderError:
    """The sandbox is paused, or went away while it was being talked to. Nothing is known to have been done."""
    return failure(
        SANDBOX_NOT_RUNNING,
        "The sandbox is not running",
        detail=f"{address or 'The sandbox'} is paused, was killed, or reached the end of its time.",
        hint="«nexus start» resumes a paused sandbox; «nexus apply» makes an ended one of the project again",
        address=address,
    )


def translate(problem: Exception, address: str = "") -> ProviderError:
    """The ProviderError that says the same as ``problem``; a ProviderError stays what it is."""
    match problem:
        case ProviderError():
            return problem
        case DiagnosticsError():
            first = problem.diagnostics[0]
            return ProviderError(first.at(None, address), Certainty.PERMANENT)
        case sdk.AuthenticationException():
            return _refused(problem, address)
        case sdk.RateLimitException():
            return _limited(problem, address)
        case sdk.ServiceBusyException():
            return failure(
                INSUFFICIENT_RESOURCES,
                "E2B has no room for this right now",
                detail=_text(problem),
                certainty=Certainty.NOT_DONE,
                address=address,
            )
        case sdk.SandboxNotFoundException():
            return gone(address)
        case sdk.VolumeNotFoundException():
            return gone(address, "volume")
        case sdk.SandboxNotRunningException():
            return not_running(address)
        case sdk.TimeoutException():
            return failure(
                "no-answer",
                "No answer came in time",
                detail=_text(problem),
                hint="run «nexus apply» again: it finds out what was done",
                certainty=Certainty.UNKNOWN,
                address=address,
            )
        case sdk.NotEnoughSpaceException():
            return failure(INSUFFICIENT_RESOURCES, "The sandbox's disk is full", detail=_text(problem), address=address)
        case CommandExitException():
            return failure(
                EXECUTION_ERROR,
                f"A command failed with exit code {problem.exit_code}",
                detail=problem.stderr or problem.error or "",
                address=address,
            )
        case sdk.FileUploadException():
            return failure(
                "upload-failed",
                "The build context could not be uploaded",
                detail=_text(problem),
                certainty=Certainty.NOT_DONE,
                address=address,
            )
    return _by_transport(problem, address) or _by_status(problem, address)


def _refused(problem: Exception, address: str) -> ProviderError:
    text = _text(problem)
    if "invalid username" in text or "looking up user" in text:
        return failure(
            "unknown-user",
            "The sandbox has no such user",
            detail=text,
            hint="name a user that the template has, such as user or root",
            address=address,
        )
    return failure(
        PERMISSION_DENIED,
        "E2B refused the API key",
        detail=text,
        hint="check E2B_API_KEY, and that it belongs to the deployment that is addressed",
        address=address,
    )


def _limited(problem: Exception, address: str) -> ProviderError:
    text = _text(problem)
    if _QUOTA.search(text):
        return LimitReached(
            error(
                QUOTA_EXCEEDED,
                "The account has as many of these as it may have",
                detail=text,
                hint="remove some («nexus list --all» shows them), or raise the limit of the account",
                address=address,
            )
        )
    asked_for = _RETRY_IN.search(text)
    return TooFast(
        error("rate-limited", "E2B asks to slow down", detail=text, address=address),
        retry_after=None if asked_for is None else float(asked_for[1]),
    )


def _by_transport(problem: Exception, address: str) -> ProviderError | None:
    cause = problem.__cause__ if isinstance(problem, ConnectError) else problem
    if isinstance(cause, (ConnectionError, httpx.ConnectError, httpx.ConnectTimeout)):
        return failure(
            "unreachable",
            "E2B can't be reached",
            detail=_text(problem),
            hint="check the connection; «nexus local status» tells whether the local engine runs",
            certainty=Certainty.NOT_DONE,
            address=address,
        )
    if isinstance(problem, (httpx.TransportError, ConnectError, OSError)):
        refused = isinstance(problem, ConnectError) and problem.code in (Code.INVALID_ARGUMENT, Code.NOT_FOUND)
        return failure(
            "connection-lost",
            "The connection broke while something was going on",
            detail=_text(problem),
            hint="run «nexus apply» again: it finds out what was done",
            certainty=Certainty.PERMANENT if refused else Certainty.UNKNOWN,
            address=address,
        )
    return None


def _by_status(problem: Exception, address: str) -> ProviderError:
    text = _text(problem)
    status = getattr(problem, "status_code", None) or _status_in(str(problem))
    code, certainty, hint = "e2b-refused", Certainty.PERMANENT, ""
    match status:
        case 401 | 403:
            code = PERMISSION_DENIED
        case 404 if "template" in text or "tag" in text:
            code, hint = "template-not-found", "check the template's name, its tag, and that it was built"
        case 404:
            code = "not-found"
        case 409 if "idempotency" in text or "in progress" in text:
            certainty = Certainty.UNKNOWN
        case 409:
            code, certainty = "busy", Certainty.NOT_DONE
        case 422:
            certainty = Certainty.UNKNOWN
        case int() if status >= 500:
            code, certainty = "e2b-failed", Certainty.UNKNOWN
        case None if isinstance(problem, sdk.BuildException):
            code = "build-failed"
        case None if not isinstance(problem, (sdk.SandboxException, sdk.VolumeException, ValueError)):
            code, certainty = "unexpected-failure", Certainty.UNKNOWN
    return failure(code, _summary(code), detail=text, hint=hint, certainty=certainty, address=address)


def _summary(code: str) -> str:
    return {
        PERMISSION_DENIED: "E2B does not allow this",
        "template-not-found": "There is no such template",
        "not-found": "E2B does not know this object",
        "busy": "The object is changing already",
        "e2b-failed": "E2B failed to do this",
        "build-failed": "The build failed",
        "unexpected-failure": "Something unexpected went wrong",
    }.get(code, "E2B refused this")


def status_of(problem: Exception) -> int | None:
    """The HTTP status behind an SDK exception, as far as it tells."""
    status = getattr(problem, "status_code", None)
    return status if isinstance(status, int) else _status_in(str(problem))


def _status_in(text: str) -> int | None:
    match = _STATUS.match(text)
    return int(match[1]) if match else None


def _text(problem: Exception) -> str:
    return _STATUS.sub("", str(problem)).strip() or type(problem).__name__
