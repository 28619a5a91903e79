"""Questions to the person at the client, in the two ways that the protocol has had for them.

Until 2025 the server sends a request of its own while the call waits. Since 2026 the call is answered with the
question, and the client makes it again with the answer; then the question is put together anew, and an answer counts
only for the very same one.
"""

from __future__ import annotations

import hashlib
from typing import Any, Final

from mcp.server import ServerRequestContext
from mcp.types import (
    CallToolRequestParams,
    ElicitRequest,
    ElicitRequestFormParams,
    ElicitResult,
    InputRequiredResult,
)
from mcp.types.version import MODERN_PROTOCOL_VERSIONS

from nexus.mcp.tools import Ask

_KEY: Final = "approve"
_FORM: Final = {
    "type": "object",
    "properties": {_KEY: {"type": "boolean", "title": "Do it", "description": "Whether all of this is done"}},
    "required": [_KEY],
}


class Unanswered(Exception):  # noqa: N818 - nothing went wrong: the call goes on when it comes again
    """The call has to come again, with the answer."""

    def __init__(self, question: str) -> None:
        super().__init__(question)
        self._question = question

    def to_mcp(self) -> InputRequiredResult:
        request = ElicitRequest(params=ElicitRequestFormParams(message=self._question, requested_schema=_FORM))
        return InputRequiredResult(input_requests={_KEY: request}, request_state=_digest(self._question))


def asking(context: ServerRequestContext[Any], params: CallToolRequestParams) -> Ask:
    """How this call asks."""

    async def ask(question: str, /) -> bool | None:
        able = context.session.client_capabilities
        if able is None or able.elicitation is None:
            return None
        if context.protocol_version in MODERN_PROTOCOL_VERSIONS:
            return _answered(params, question)
        if not context.session.can_send_request:
            return None
        return _is_yes(
            await context.session.elicit_form(question, _FORM, related_request_id=context.request_id),
        )

    return ask


def _answered(params: CallToolRequestParams, question: str) -> bool:
    """The answer that came with the call. Raises Unanswered where there is none, or it is one to another question."""
    answer = (params.input_responses or {}).get(_KEY)
    if not isinstance(answer, ElicitResult) or params.request_state != _digest(question):
        raise Unanswered(question)
    return _is_yes(answer)


def _is_yes(answer: ElicitResult) -> bool:
    return answer.action == "accept" and answer.content is not None and answer.content.get(_KEY) is True


def _digest(question: str) -> str:
    return hashlib.sha256(question.encode()).hexdigest()
