"""What a plan opens: everything that is closed now, or not there, and open once the plan is done."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from nexus.kinds.durations import format_duration
from nexus.kinds.network import EVERYTHING
from nexus.model.changes import Change, Opening, Opens, Plan
from nexus.model.state import State
from nexus.model.values import Attributes, Fingerprint, Value
from nexus.planning import Evaluated, Evaluation

_NOTHING: Final[Attributes] = {}
_OWN_SANDBOX: Final = "sandbox"


def openings(plan: Plan, evaluation: Evaluation, state: State) -> tuple[Opening, ...]:
    """In the order of the changes. What is not known before apply can't be told, and is left out."""
    wanted = {item.spec.address: item for item in evaluation.evaluated()}
    found: list[Opening] = []
    for change in plan.changes:
        after = wanted.get(change.address)
        if after is not None and not change.goes:
            record = state.resources.get(change.address)
            before = _NOTHING if record is None else record.attributes
            found.extend(_Comparing(change, after, before).openings())
    return tuple(found)


@dataclass(frozen=True, slots=True)
class _Comparing:
    """One resource, as it was applied last and as it is wanted, both concealed."""

    change: Change
    wanted: Evaluated
    before: Attributes

    def openings(self) -> Iterator[Opening]:
        after = self.wanted.concealed
        match self.change.address.kind:
            case "sandbox":
                yield from self._network(self.before.get("network"), after.get("network"), "network")
                yield from self._ports(self.before.get("ports"), after.get("ports"))
                yield from self._time(self.before.get("timeout"), after.get("timeout"))
            case "step":
                was, will = (_mapping(item.get(_OWN_SANDBOX)) for item in (self.before, after))
                yield from self._network(was.get("network"), will.get("network"), _OWN_SANDBOX)
            case "template":
                if after.get("public") is True and self.before.get("public") is not True:
                    yield self._opening(Opens.TEMPLATE, "other accounts may use it", "public")
        yield from self._secrets(after)

    def _network(self, before: Value, after: Value, field: str) -> Iterator[Opening]:
        was, will = _mapping(before), _mapping(after)
        if not will:
            return
        if will.get("internet") is True and was.get("internet") is not True:
            yield self._opening(Opens.INTERNET, "everything outside may be reached", field)
        if was.get("internet") is True and will.get("internet") is True:
            fewer = sorted(_texts(was.get("deny")) - _texts(will.get("deny")) - {EVERYTHING})
            if fewer:
                yield self._opening(Opens.EGRESS, f"not denied any more: {', '.join(fewer)}", field)
        more = sorted(_texts(will.get("allow")) - _texts(was.get("allow")))
        if more and was.get("internet") is not True:
            yield self._opening(Opens.EGRESS, f"may be reached: {', '.join(more)}", field)

    def _ports(self, before: Value, after: Value) -> Iterator[Opening]:
        known = set(_mapping(before).values())
        for name, port in _mapping(after).items():
            if isinstance(port, int) and port not in known:
                yield self._opening(Opens.PORT, f"{name} ({port}) has a URL", "ports")

    def _time(self, before: Value, after: Value) -> Iterator[Opening]:
        if isinstance(before, int) and isinstance(after, int) and after > before:
            detail = f"lives for {format_duration(after)} instead of {format_duration(before)}"
            yield self._opening(Opens.TIME, detail, "timeout")

    def _secrets(self, after: Attributes) -> Iterator[Opening]:
        known = set(_secret_places(self.before))
        for place in dict.fromkeys(_secret_places(after)):
            if place not in known:
                yield self._opening(Opens.SECRET, f"a secret in {place}", place.partition("[")[0])

    def _opening(self, opens: Opens, detail: str, field: str) -> Opening:
        source = self.wanted.spec.field_sources.get(field, self.change.source)
        return Opening(address=self.change.address, opens=opens, detail=detail, source=source)


def _secret_places(attributes: Attributes) -> Iterator[str]:
    """Fields that hold a secret, with the key in maps, as in ``env_vars["TOKEN"]``. Items of lists have no names."""
    for field, value in attributes.items():
        if isinstance(value, dict):
            for key, item in value.items():
                if _holds_secret(item):
                    yield f'{field}["{key}"]'
        elif _holds_secret(value):
            yield field


def _holds_secret(value: Value) -> bool:
    match value:
        case Fingerprint():
            return True
        case dict():
            return any(map(_holds_secret, value.values()))
        case list():
            return any(map(_holds_secret, value))
        case _:
            return False


def _mapping(value: Value) -> Mapping[str, Value]:
    return value if isinstance(value, dict) else {}


def _texts(value: Value) -> set[str]:
    return {str(item) for item in value} if isinstance(value, list) else set()
