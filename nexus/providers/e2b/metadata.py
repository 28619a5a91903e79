"""The marks that nexus leaves on sandboxes, so that everything it made can be found again from outside."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from nexus.model.values import Attributes, digest
from nexus.providers.base import Call

PREFIX: Final = "nexus."
PROJECT: Final = "nexus.project"
ENVIRONMENT: Final = "nexus.environment"
ADDRESS: Final = "nexus.address"
UID: Final = "nexus.uid"
OPERATION: Final = "nexus.op"
SPEC: Final = "nexus.spec"
ENV: Final = "nexus.env"
LINEAGE: Final = "nexus.lineage"

FIXED_FIELDS: Final = ("template", "on_timeout", "auto_resume", "volumes", "metadata")
"""Fields of a sandbox that can't change while it lives; ``nexus.spec`` is their digest.

``nexus.env`` is that of the variables that it was made with: no receipt tells of these. Digests of secrets are keyed by
the state's lineage, so ``nexus.lineage`` is needed to compare them where the state was lost.
"""

ENV_UNIT: Final = "env"


def marks(call: Call) -> dict[str, str]:
    """The metadata of a sandbox that ``call`` creates, without the user's own.

    One that is made outside of any project belongs to nobody: no plan and no rebuild looks for it, and any block may
    take it over.
    """
    if not call.project:
        return {OPERATION: call.key}
    return {
        PROJECT: call.project,
        ENVIRONMENT: call.environment,
        ADDRESS: str(call.address),
        UID: call.uid,
        OPERATION: call.key,
        SPEC: spec_digest(call.attributes),
        **({ENV: env} if (env := _env_digest(call)) else {}),
        **({LINEAGE: call.lineage} if call.lineage else {}),
    }


def spec_digest(attributes: Attributes) -> str:
    """Equal where nothing differs that only a new sandbox could have."""
    return digest({name: attributes.get(name) for name in FIXED_FIELDS})


def _env_digest(call: Call) -> str | None:
    return next((unit.digest for unit in call.units if unit.name == ENV_UNIT), None)


def scope(project: str, environment: str) -> dict[str, str]:
    """The metadata that everything of one environment of one project has in common."""
    return {PROJECT: project, ENVIRONMENT: environment}


def users_own(metadata: Mapping[str, str]) -> dict[str, str]:
    """What the user declared of a sandbox's metadata."""
    return {name: value for name, value in metadata.items() if not name.startswith(PREFIX)}
