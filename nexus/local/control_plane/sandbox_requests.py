"""Bodies and queries of the sandbox routes, as E2B checks them."""

from __future__ import annotations

import urllib.parse

from starlette.requests import Request

from nexus.local.control_plane.bodies import Fields, query_number, query_time
from nexus.local.control_plane.network_requests import parse_identity, parse_network
from nexus.local.errors import InvalidRequestError
from nexus.local.sandboxes.listing import LISTED_STATES, MAX_PAGE, SandboxQuery
from nexus.local.sandboxes.model import (
    Lifecycle,
    PauseMode,
    SandboxRequest,
    SandboxState,
    TemplateSource,
    VolumeMount,
)


def parse_create(fields: Fields, default_timeout: int) -> SandboxRequest:
    """A create body, both versions. Raises EngineError for what E2B refuses or what the local engine cannot do."""
    timeout = fields.number("timeout", default_timeout)
    if timeout <= 0:
        raise InvalidRequestError("Timeout must be greater than 0")
    identity = parse_identity(fields.object("iam"))
    network = fields.object("network") or Fields({})
    internet = fields.optional_flag("allow_internet_access")
    return SandboxRequest(
        template=fields.required_text("templateID"),
        timeout=timeout,
        metadata=fields.text_map("metadata"),
        env_vars=_env_vars(fields.text_map("envVars")),
        network=parse_network(network, internet, ingress=True, tokens=identity),
        identity=identity,
        lifecycle=_lifecycle(fields),
        volume_mounts=tuple(
            VolumeMount(mount.required_text("name"), mount.required_text("path"))
            for mount in fields.objects("volumeMounts")
        ),
    )


def parse_list(request: Request, templates: TemplateSource, *, all_states: bool) -> SandboxQuery:
    """The query of a list request; the older form shows running sandboxes only, all at once."""
    params = request.query_params
    order = params.get("order", "desc")
    if order not in ("asc", "desc"):
        raise InvalidRequestError("Invalid query: order must be asc or desc")
    template = params.get("template")
    if template and ":" in template:
        raise InvalidRequestError("Invalid query: template must be an id or alias without a tag")
    return SandboxQuery(
        states=_states(params.get("state")) if all_states else frozenset({SandboxState.RUNNING}),
        metadata=parse_metadata(params.get("metadata")),
        of_template=(lambda template_id: templates.matches(template, template_id)) if template else None,
        started_after=query_time(request, "startedAfter"),
        ascending=order == "asc",
        limit=query_number(request, "limit", MAX_PAGE, low=1, high=MAX_PAGE) if all_states else 1_000_000,
        next_token=params.get("nextToken") or None,
    )


def parse_metadata(text: str | None) -> dict[str, str]:
    """``k=v&k=v``, percent-encoded once more per key and value than a query string is."""
    if not text:
        return {}
    pairs = urllib.parse.parse_qsl(text, keep_blank_values=True)
    return {urllib.parse.unquote(key): urllib.parse.unquote(value) for key, value in pairs}


def _states(text: str | None) -> frozenset[SandboxState]:
    if text is None:
        return LISTED_STATES
    try:
        states = frozenset(SandboxState(part.strip()) for part in text.split(","))
    except ValueError:
        raise InvalidRequestError("Invalid query: state must be running or paused") from None
    if not states <= LISTED_STATES:
        raise InvalidRequestError("Invalid query: state must be running or paused")
    return states


def _lifecycle(fields: Fields) -> Lifecycle:
    auto_pause = fields.flag("autoPause")
    keeps_memory = fields.flag("autoPauseMemory", default=True)
    resume = fields.object("autoResume")
    auto_resume = resume.flag("enabled") if resume is not None else False
    if not keeps_memory and not auto_pause:
        raise InvalidRequestError("autoPauseMemory: false needs autoPause: true")
    if not keeps_memory and auto_resume:
        raise InvalidRequestError("autoPauseMemory: false cannot be combined with autoResume")
    return Lifecycle(
        auto_pause=auto_pause,
        auto_pause_mode=PauseMode.FULL if keeps_memory else PauseMode.FILESYSTEM,
        auto_resume=auto_resume,
    )


def _env_vars(values: dict[str, str]) -> dict[str, str]:
    for name, value in values.items():
        # Only the name is told: the value may be a secret.
        if not name or "=" in name or "\0" in name or "\0" in value:
            raise InvalidRequestError(f"Invalid environment variable {name!r}")
    return values
