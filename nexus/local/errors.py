"""What the rooms of the engine raise to refuse a request; the control plane turns each into E2B's JSON error."""

from __future__ import annotations


class EngineError(Exception):
    """A refusal that a client is meant to read. ``status`` is the HTTP status it becomes on the wire."""

    status = 500

    def __init__(self, message: str, *, error_code: str | None = None, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.error_code = error_code
        self.retry_after = retry_after


class InvalidRequestError(EngineError):
    status = 400


class UnauthorizedError(EngineError):
    status = 401


class ForbiddenError(EngineError):
    status = 403


class NotFoundError(EngineError):
    status = 404


class ConflictError(EngineError):
    status = 409


class TooLargeError(EngineError):
    status = 413


class EndlessBodyError(TooLargeError):
    """The rest of the request was not read: its connection is good for nothing more."""


class UnknownOutcomeError(EngineError):
    status = 422


class UnsupportedError(EngineError):
    """Known to E2B, not offered by the local engine: told as E2B tells of a feature that an account does not have."""

    status = 403


class TooManyError(EngineError):
    """As many as the account may have; clients wait until some are gone."""

    status = 429


class BusyError(EngineError):
    status = 503
