"""What importing a live sandbox means: which record it gets, and whether its block fits it at all. Pure.

A sandbox that nexus did not make bears no marks, and E2B can't add any: it is remembered by its id. What a live sandbox
can't be changed to is refused rather than replaced: whoever imports it wants to keep it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from nexus.graph.desired import Import
from nexus.model.diagnostics import Diagnostic, error
from nexus.model.observation import Observed, Presence
from nexus.model.state import ResourceRecord, State
from nexus.model.values import Attributes, Value
from nexus.planning.evaluate import Evaluated

_FIXED: Final = ("on_timeout", "auto_resume", "volumes", "metadata")
_SEEN: Final = frozenset({"network"})
"""Fields that can be changed and be read: what was seen counts."""


def record_of_live(evaluated: Evaluated, live_id: str, seen: Observed) -> ResourceRecord:
    """What is remembered of it before anything is changed: what was seen, and what only its block can say."""
    inside = {unit.field for unit in evaluated.units}
    attributes = {
        name: value for name, value in evaluated.concealed.items() if name not in inside and name not in _SEEN
    }
    network = seen.facts.get("network")
    if isinstance(network, dict):
        attributes["network"] = network
    attributes["timeout"] = None  # how long it was meant to live nobody tells
    spec = evaluated.spec
    return ResourceRecord(
        address=spec.address,
        id=live_id,
        uid="",
        attributes=attributes,
        outputs={"address": str(spec.address), "id": live_id},
        depends_on=spec.depends_on,
        protected=spec.lifecycle.prevent_destroy,
        on_destroy=spec.lifecycle.on_destroy,
        expires_at=seen.expires_at,
    )


def is_copy(seen: Observed, state: State) -> bool:
    """Whether a sandbox bears the marks of another, because it is a fork of that: it says so itself, or the state."""
    told = seen.facts.get("is_copy")
    if isinstance(told, bool):
        return told
    known = {record.uid: record.id for record in (*state.deposed, *state.resources.values())}
    return known.get(str(seen.facts.get("uid", "")), seen.id) != seen.id


def refusal(evaluated: Evaluated, wanted: Import, seen: Observed | None, state: State) -> Diagnostic | None:
    """Why the live object can't be imported with this block; None when it can."""
    address = str(evaluated.spec.address)
    if seen is None or seen.presence is Presence.UNKNOWN:
        return _error("import-not-seen", f"{wanted.id} could not be looked at", address, wanted)
    if seen.presence in (Presence.GONE, Presence.EXPIRED):
        hint = "«nexus list --all» shows the sandboxes of the account"
        return _error("import-not-found", f"There is no sandbox {wanted.id}", address, wanted, hint=hint)
    owner = seen.facts.get("owner")
    if owner and not is_copy(seen, state):
        detail = f"It bears the marks of {owner}."
        hint = "one of this project's own is found by «nexus state rebuild», and renamed by «nexus state mv»"
        return _error("import-owned", f"{wanted.id} was made by nexus", address, wanted, detail, hint)
    differing = [*differences(evaluated.concealed, seen.facts)]
    if differing:
        detail = f"A live sandbox can't be changed in these: {'; '.join(differing)}."
        hint = f"make the block say the same; «nexus import --generate {address} {wanted.id}» writes one that fits"
        return _error("import-differs", f"{wanted.id} is not what its block says", address, wanted, detail, hint)
    return None


def differences(wanted: Attributes, facts: Mapping[str, object]) -> list[str]:
    """In words, what only a new sandbox could have as it is wanted."""
    found: list[str] = []
    names = facts.get("templates")
    template = wanted.get("template")
    if isinstance(names, list) and isinstance(template, str) and _without_tag(template) not in names:
        found.append(f"template is {names[0]}, not {template}")
    for name in _FIXED:
        if name in facts and facts[name] != wanted.get(name):
            found.append(f"{name} is {_shown(facts[name])}, not {_shown(wanted.get(name))}")
    return found


def _without_tag(template: str) -> str:
    return template.partition(":")[0]


def _shown(value: object | Value) -> str:
    return "absent" if value in (None, {}, []) else str(value)


def _error(code: str, summary: str, address: str, wanted: Import, detail: str = "", hint: str = "") -> Diagnostic:
    return error(code, summary, detail=detail, hint=hint, address=address, range=wanted.source)
