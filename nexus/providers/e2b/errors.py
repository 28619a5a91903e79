"""What the SDK raises, as what the executor needs to know: had it an effect, may it be made again, what to do."""

from __future__ import annotations

import re
from collections.abc import Mapping
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
    SANDBOX_UNREACHABLE,
    shortage,
    shortage_hint,
)

__all__ = [
    "EXECUTION_ERROR",
    "EXECUTION_TIMEOUT",
    "INSUFFICIENT_RESOURCES",
    "PERMISSION_DENIED",
    "QUOTA_EXCEEDED",
    "SANDBOX_NOT_RUNNING",
    "execution_failed",
    "failure",
    "gone",
    "not_running",
    "status_of",
    "translate",
]

_TRY_BY_HAND: Final = "try it by hand with «nexus shell» or «nexus exec»"
_APPLY_AGAIN: Final = "run «nexus apply» again: it finds out what was done"
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
    field: str = "",
) -> ProviderError:
    """A ProviderError with a diagnostic of these texts."""
    return ProviderError(error(code, summary, detail=detail, hint=hint, address=address), certainty, field=field)


def execution_failed(
    summary: str, *, exit_code: int, output: str, hint: str = _TRY_BY_HAND, address: str = ""
) -> ProviderError:
    """A command in a sandbox ended badly. Where it ran out of memory or disk, the code and the hint say that."""
    short_of = shortage(exit_code, output)
    return failure(
        EXECUTION_ERROR if short_of is None else INSUFFICIENT_RESOURCES,
        summary,
        detail=output.strip(),
        hint=hint if short_of is None else shortage_hint(short_of),
        address=address,
    )


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
        case sdk.SandboxNotFoundException() | sdk.SandboxNotRunningException() | sdk.SandboxUnreachableException():
            return _absent(problem, address)
        case sdk.AuthenticationException():
            return _refused(problem, address)
        case sdk.RateLimitException():
            return _limited(problem, address)
        case sdk.ServiceBusyException() | sdk.NotEnoughSpaceException():
            return _without_room(problem, address)
        case sdk.GuestUnresponsiveException() | sdk.TemplateException():
            return _beyond_use(problem, address)
        case sdk.TimeoutException():
            return failure(
                "no-answer",
                "No answer came in time",
                detail=_text(problem),
                hint=_APPLY_AGAIN,
                certainty=Certainty.UNKNOWN,
                address=address,
            )
        case sdk.NotFoundException() | sdk.SecretNotFoundException():
            return _missing(problem, address)
        case CommandExitException():
            return execution_failed(
                f"A command failed with exit code {problem.exit_code}",
                exit_code=problem.exit_code,
                output=problem.stderr or problem.error or "",
                address=address,
            )
        case sdk.GitUpstreamException():
            return execution_failed("A command of Git failed", exit_code=1, output=_text(problem), address=address)
        case sdk.FileUploadException():
            return failure(
                "upload-failed",
                "The build context could not be uploaded",
                detail=_text(problem),
                hint="run «nexus apply» again; nothing was built",
                certainty=Certainty.NOT_DONE,
                address=address,
            )
    return _by_transport(problem, address) or _by_status(problem, address)


def _absent(problem: sdk.SandboxException, address: str) -> ProviderError:
    """The sandbox is gone, or not running, or nobody knows: it did not answer."""
    match problem:
        case sdk.SandboxNotFoundException():
            return gone(address)
        case sdk.SandboxNotRunningException():
            return not_running(address)
        case _:
            return failure(
                SANDBOX_UNREACHABLE,
                "The sandbox does not answer",
                detail=_text(problem),
                hint="see with «nexus status» whether it runs; then try again",
                certainty=Certainty.UNKNOWN,
                address=address,
            )


def _without_room(problem: Exception, address: str) -> ProviderError:
    if isinstance(problem, sdk.NotEnoughSpaceException):
        return failure(
            INSUFFICIENT_RESOURCES,
            "The sandbox's disk is full",
            detail=_text(problem),
            hint=shortage_hint("disk"),
            address=address,
        )
    return failure(
        INSUFFICIENT_RESOURCES,
        "E2B has no room for this right now",
        detail=_text(problem),
        hint="nothing was done; try again in a while",
        certainty=Certainty.NOT_DONE,
        address=address,
    )


def _beyond_use(problem: sdk.SandboxException, address: str) -> ProviderError:
    """A sandbox, or a template, that nothing can be done with as it is."""
    if isinstance(problem, sdk.GuestUnresponsiveException):
        return failure(
            SANDBOX_NOT_RUNNING,
            "The sandbox did not answer when it was paused, and can't be resumed with its memory",
            detail=_text(problem),
            hint="«nexus delete» removes it; «nexus apply» makes one of the project again",
            address=address,
        )
    return failure(
        "template-too-old",
        "The template is too old for this",
        detail=_text(problem),
        hint="build the template again; nexus builds its own when their block changes, or with --replace",
        address=address,
    )


def _missing(problem: Exception, address: str) -> ProviderError:
    """Something inside or beside a sandbox that is not there."""
    match problem:
        case sdk.VolumeNotFoundException():
            return gone(address, "volume")
        case sdk.FileNotFoundException() | sdk.VolumePathNotFoundException():
            where = "volume" if isinstance(problem, sdk.VolumePathNotFoundException) else "sandbox"
            code, what = "file-not-found", f"There is no such file in the {where}"
            hint = "check the path; it is absolute, or relative to the user's home"
        case sdk.SecretNotFoundException():
            code, what = "not-found", "E2B has no such secret"
            hint = "check its name, and that the API key belongs to the account that has it"
        case _:
            return _by_status(problem, address)
    return failure(code, what, detail=_text(problem), hint=hint, address=address)


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
    if isinstance(problem, sdk.GitAuthException):
        return failure(
            PERMISSION_DENIED,
            "A Git server refused the credentials",
            detail=text,
            hint="check the user name and the token that Git is given",
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
        error(
            "rate-limited",
            "E2B asks to slow down",
            detail=text,
            hint="try again in a while, or with a smaller --parallelism",
            address=address,
        ),
        retry_after=None if asked_for is None else float(asked_for[1]),
    )


def _by_transport(problem: Exception, address: str) -> ProviderError | None:
    cause = problem.__cause__ if isinstance(problem, ConnectError) else problem
    if isinstance(cause, (ConnectionError, httpx.ConnectError, httpx.ConnectTimeout)):
        return failure(
            "unreachable",
            "E2B can't be reached",
            detail=_text(problem),
            hint="check the connection, and E2B_API_URL or E2B_DOMAIN where they are set; --local needs none of them",
            certainty=Certainty.NOT_DONE,
            address=address,
        )
    if isinstance(problem, (httpx.TransportError, ConnectError, OSError)):
        refused = isinstance(problem, ConnectError) and problem.code in (Code.INVALID_ARGUMENT, Code.NOT_FOUND)
        return failure(
            "connection-lost",
            "The connection broke while something was going on",
            detail=_text(problem),
            hint=_APPLY_AGAIN,
            certainty=Certainty.PERMANENT if refused else Certainty.UNKNOWN,
            address=address,
        )
    return None


def _by_status(problem: Exception, address: str) -> ProviderError:
    text = _text(problem)
    status = getattr(problem, "status_code", None) or _status_in(str(problem))
    code, certainty = "e2b-refused", Certainty.PERMANENT
    match status:
        case 401 | 403:
            code = PERMISSION_DENIED
        case 404 if "template" in text or "tag" in text:
            code = "template-not-found"
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
        case None if isinstance(problem, sdk.NotFoundException):
            code = "not-found"
        case None if not isinstance(problem, _REFUSALS):
            code, certainty = "unexpected-failure", Certainty.UNKNOWN
    summary, hint = _TEXTS.get(code, _TEXTS["e2b-refused"])
    return failure(code, summary, detail=text, hint=hint, certainty=certainty, address=address)


_REFUSALS: Final = (sdk.SandboxException, sdk.VolumeException, sdk.SecretException, ValueError)
_TEXTS: Final[Mapping[str, tuple[str, str]]] = {
    PERMISSION_DENIED: ("E2B does not allow this", "use an API key of the team that owns it"),
    "template-not-found": ("There is no such template", "check the template's name, its tag, and that it was built"),
    "not-found": ("E2B does not know this object", "«nexus plan» shows what is there, and what would be made again"),
    "busy": ("The object is changing already", "wait for it to end, and try again"),
    "e2b-failed": ("E2B failed to do this", _APPLY_AGAIN),
    "e2b-refused": ("E2B refused this", "the message is E2B's own: correct what it names, and try again"),
    "build-failed": ("The build failed", "see in the last lines of the build which command failed, and correct it"),
    "unexpected-failure": ("Something unexpected went wrong", _APPLY_AGAIN),
}
"""What a refusal is called, and what to do about it, by its code."""


def status_of(problem: Exception) -> int | None:
    """The HTTP status behind an SDK exception, as far as it tells."""
    status = getattr(problem, "status_code", None)
    return status if isinstance(status, int) else _status_in(str(problem))


def _status_in(text: str) -> int | None:
    match = _STATUS.match(text)
    return int(match[1]) if match else None


def _text(problem: Exception) -> str:
    return _STATUS.sub("", str(problem)).strip() or type(problem).__name__
