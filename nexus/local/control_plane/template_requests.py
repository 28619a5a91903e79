"""Bodies of the template routes."""

from __future__ import annotations

import secrets

from nexus.local.builds.model import BuildSpec, Step
from nexus.local.builds.service import DEFAULT_CPU, DEFAULT_MEMORY, BuildRequest
from nexus.local.control_plane.bodies import Fields
from nexus.local.errors import InvalidRequestError

_MAX_STEPS = 100


def parse_registration(fields: Fields) -> BuildRequest:
    _check_unused(fields)
    name = fields.text("name") or fields.text("alias")
    if not name:
        raise InvalidRequestError("name is required")
    return BuildRequest(
        name=name,
        tags=fields.texts("tags") or (),
        cpu_count=fields.number("cpuCount", DEFAULT_CPU),
        memory_mb=fields.number("memoryMB", DEFAULT_MEMORY),
    )


def parse_registration_v2(fields: Fields) -> BuildRequest:
    """The form of SDKs before 2.6: one name, no tags."""
    return _sized(fields, fields.required_text("alias"))


def parse_registration_v1(fields: Fields, name: str | None = None) -> BuildRequest:
    """The form of CLIs that built images themselves; ``name`` is the template's when it is built again."""
    fields.required_text("dockerfile")
    return _sized(fields, name or fields.text("alias") or f"template-{secrets.token_hex(4)}")


def _sized(fields: Fields, name: str) -> BuildRequest:
    _check_unused(fields)
    return BuildRequest(
        name=name,
        cpu_count=fields.number("cpuCount", DEFAULT_CPU),
        memory_mb=fields.number("memoryMB", DEFAULT_MEMORY),
    )


def _check_unused(fields: Fields) -> None:
    """What means nothing here, or only sometimes, must be a text all the same."""
    for key in ("alias", "teamID", "startCmd", "readyCmd"):
        fields.text(key)


def parse_start(fields: Fields) -> BuildSpec:
    """What to build. A login for the image's registry (fromImageRegistry) is not looked at, for nothing is pulled."""
    from_image, from_template = fields.text("fromImage"), fields.text("fromTemplate")
    if bool(from_image) == bool(from_template):
        raise InvalidRequestError("exactly one of fromImage and fromTemplate is required")
    fields.object("fromImageRegistry")
    steps = tuple(_step(step) for step in fields.objects("steps"))
    if len(steps) > _MAX_STEPS:
        raise InvalidRequestError(f"a template may have {_MAX_STEPS} steps at most on the local engine")
    return BuildSpec(
        from_image=from_image or None,
        from_template=from_template or None,
        force=fields.flag("force"),
        steps=steps,
        start_cmd=fields.text("startCmd") or None,
        ready_cmd=fields.text("readyCmd") or None,
    )


def _step(fields: Fields) -> Step:
    return Step(
        type=fields.required_text("type").upper(),
        args=fields.texts("args") or (),
        force=fields.flag("force"),
        files_hash=fields.text("filesHash") or None,
    )
