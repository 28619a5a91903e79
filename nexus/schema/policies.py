"""What may be written under ``policies``: rules of one's own, and the shipped ones with their parameters.

What the shipped ones mean is said in :mod:`nexus.policy.shipped`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from nexus.kinds.durations import DURATION_SCHEMA

SUBJECTS: Final = ("sandbox", "template", "volume", "step", "change", "plan")
"""What a rule may be about: every resource of a kind, every change of a plan, or the plan as a whole."""


@dataclass(frozen=True, slots=True)
class ShippedRule:
    """``parameters`` are the fields that a policy with this ``use`` takes, ``required`` those it can't do without."""

    description: str
    parameters: tuple[str, ...] = ()
    required: tuple[str, ...] = ()


SHIPPED_RULES: Final[Mapping[str, ShippedRule]] = {
    "no-internet": ShippedRule(
        "Sandboxes, those of steps too, reach nothing outside; with `allow` nothing but these destinations.", ("allow",)
    ),
    "time-to-live": ShippedRule(
        "Every sandbox says its `timeout`; with `maximum` it is no longer than that.", ("maximum",)
    ),
    "pinned-packages": ShippedRule(
        "Packages of sandboxes and templates name one version: `httpx==0.27.2`, `typescript@5.6.3`, `apt:jq=1.7.1-3`."
    ),
    "required-tags": ShippedRule("The `metadata` of every sandbox has these `keys`.", ("keys",), ("keys",)),
    "budget": ShippedRule(
        "What runs once the plan is done costs at most so many dollars: at least one of the three is said.",
        ("hourly", "until_end", "monthly"),
    ),
    "no-data-loss": ShippedRule("No change deletes data that nothing else holds."),
    "no-opening": ShippedRule(
        "No change opens anything: the internet, destinations, ports, secrets, a longer life, a public template."
    ),
}

PARAMETERS: Final[Mapping[str, Mapping[str, object]]] = {
    "allow": {
        "type": "array",
        "items": {"type": "string", "minLength": 1},
        "description": "no-internet: the destinations that `network.allow` may have.",
        "examples": [["pypi.org", "*.pythonhosted.org"]],
    },
    "maximum": {**DURATION_SCHEMA, "description": "time-to-live: the longest `timeout`."},
    "keys": {
        "type": "array",
        "items": {"type": "string", "minLength": 1},
        "minItems": 1,
        "description": "required-tags: the keys that `metadata` must have.",
        "examples": [["team", "cost-center"]],
    },
    "hourly": {"type": "number", "minimum": 0, "description": "budget: dollars an hour."},
    "until_end": {
        "type": "number",
        "minimum": 0,
        "description": "budget: dollars until all sandboxes time out, if nothing extends their time.",
    },
    "monthly": {
        "type": "number",
        "minimum": 0,
        "description": "budget: dollars a month, if they are extended, or made again as they end.",
        "examples": [50],
    },
}

_CONDITION: Final = {"title": "condition", "type": "boolean"}

FIELDS: Final[Mapping[str, Mapping[str, object]]] = {
    "use": {"enum": [*SHIPPED_RULES], "description": "A rule that nexus brings, instead of one of your own."},
    "for": {"enum": [*SUBJECTS], "default": "sandbox", "description": "What a rule of your own looks at, as self."},
    "deny": {
        **_CONDITION,
        "description": "Where this is true, the plan is denied.",
        "examples": ["${{ self.timeout > 7200 }}"],
    },
    "warn": {**_CONDITION, "description": "Where this is true, the plan says so."},
    "message": {
        "type": "string",
        "minLength": 1,
        "description": "What to say then; may hold expressions.",
    },
    "level": {
        "enum": ["deny", "warn"],
        "default": "deny",
        "description": "What a shipped rule does where it is broken.",
    },
    "environments": {
        "type": "array",
        "items": {"type": "string", "minLength": 1},
        "description": "The environments in which it holds; all, if not said.",
        "examples": [["prod"]],
    },
    "except": {
        "type": "array",
        "items": {"type": "string", "minLength": 1},
        "description": "Addresses of resources that it leaves alone.",
        "examples": [["sandbox.crawler"]],
    },
    **PARAMETERS,
}

POLICY: Final[Mapping[str, object]] = {
    "type": "object",
    "properties": {**FIELDS},
    "additionalProperties": False,
    "examples": [{"use": "budget", "monthly": 50}],
}
