"""What the relay does to the connections of one machine, worked out anew for each connection."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from nexus.local.network.names import NamePatterns, normal
from nexus.local.relay.model import EgressProxy, HostRule
from nexus.local.relay.placeholders import PlaceholderError

_FORBIDDEN = frozenset("\r\n\0")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """``allowed`` are the domains that the machine may reach because of their names.

    ``fill`` resolves the placeholders of a header's value; it raises PlaceholderError.
    """

    rules: Sequence[HostRule] = ()
    proxy: EgressProxy | None = None
    allowed: NamePatterns = field(default_factory=NamePatterns)
    fill: Callable[[str], str] = lambda text: text

    def rule_for(self, host: str, port: int) -> HostRule | None:
        """The rule that sets headers for ``host``: an exact one, else that of the longest wildcard."""
        host = normal(host)
        fitting = [
            rule
            for rule in self.rules
            if rule.headers and rule.is_for_port(port) and NamePatterns.compile([rule.name]).match(host)
        ]
        return max(fitting, key=lambda rule: (not rule.host.startswith("*"), len(rule.host)), default=None)

    def headers(self, rule: HostRule) -> list[tuple[bytes, bytes]]:
        """The headers of a rule with their values as of now. Raises PlaceholderError."""
        found = []
        for name, template in (rule.headers or {}).items():
            value = self.fill(template).strip(" \t")
            if not _FORBIDDEN.isdisjoint(value):
                raise PlaceholderError(f"the value for header '{name}' holds a line break")
            found.append((name.encode("ascii"), value.encode()))
        return found
