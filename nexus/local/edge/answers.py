"""What the edge itself answers, in the texts that E2B's SDKs recognise."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Answer:
    """A complete error response; ``body`` is its JSON form."""

    status: int
    body: dict[str, object]
    title: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)

    def render(self, user_agent: str) -> tuple[str, bytes]:
        """Content type and content: a page for browsers, JSON for programs."""
        if "mozilla/" not in user_agent.lower():
            return "application/json; charset=utf-8", json.dumps(self.body).encode()
        message = html.escape(str(self.body["message"]))
        title = html.escape(self.title or str(self.status))
        page = f"<!doctype html><title>{title}</title><h1>{title}</h1><p>{message}</p>\n"
        return "text/html; charset=utf-8", page.encode()


def sandbox_not_found(sandbox_id: str) -> Answer:
    return Answer(
        502,
        {"sandboxId": sandbox_id, "message": "The sandbox was not found", "code": 502},
        title="Sandbox Not Found Error",
    )


def port_not_open(sandbox_id: str, port: int) -> Answer:
    message = "The sandbox is running but port is not open"
    body: dict[str, object] = {"sandboxId": sandbox_id, "message": message, "port": port, "code": 502}
    return Answer(502, body, title="Closed Port Error")


def in_transition(sandbox_id: str) -> Answer:
    message = "The sandbox is changing its state; try again in a moment"
    return Answer(409, {"sandboxId": sandbox_id, "message": message, "code": 409})


def not_resumed(sandbox_id: str, status: int, reason: str) -> Answer:
    message = f"The sandbox is paused and could not be resumed: {reason}"
    return Answer(status, {"sandboxId": sandbox_id, "message": message, "code": status})


def disk_full(sandbox_id: str) -> Answer:
    message = "not enough disk space available: the sandbox has written as much as it may, or the host's disk is full"
    return Answer(507, {"sandboxId": sandbox_id, "message": message, "code": 507})


def traffic_refused(sandbox_id: str, *, token_shown: bool) -> Answer:
    reason = (
        "The traffic access token is invalid" if token_shown else "The header 'e2b-traffic-access-token' is missing"
    )
    return Answer(403, {"sandboxId": sandbox_id, "message": f"{reason}; this sandbox is not public", "code": 403})


def plain(status: int, message: str) -> Answer:
    """An answer that concerns no sandbox."""
    return Answer(status, {"message": message, "code": status})
