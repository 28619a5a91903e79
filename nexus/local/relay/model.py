"""The words of this room: rules for hosts, and the proxy that a sandbox's traffic goes through."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class HostRule:
    """What happens to requests for ``host``: a name or a name with one leading wildcard; with a port, only there.

    ``headers`` are set in each; their values may hold placeholders for secrets, or secrets. None is a rule that
    changes nothing.
    """

    host: str
    headers: Mapping[str, str] | None = field(default=None, repr=False)

    @property
    def name(self) -> str:
        """The host without its port."""
        return self.host.partition(":")[0]

    def is_for_port(self, port: int) -> bool:
        wanted = self.host.partition(":")[2]
        return not wanted or int(wanted) == port


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyTls:
    """TLS on the way to the proxy. ``ca_cert`` (PEM) is trusted instead of what the host trusts."""

    server_name: str | None = None
    ca_cert: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class EgressProxy:
    """A SOCKS5 proxy. ``tls`` None speaks to it in plain."""

    host: str
    port: int
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: ProxyTls | None = None

    @property
    def address(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"
