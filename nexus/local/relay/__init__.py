"""The engine's relay: what leaves machines by way of the daemon, because rules or a proxy have a say in it.

The network's supervisor connects such programs here. Requests to hosts with rules get their headers, for https with
certificates of an authority that the machine trusts; with an egress proxy everything goes through that.
"""

from nexus.local.relay.authority import Authority
from nexus.local.relay.identity import IdentityIssuer, IdentityToken
from nexus.local.relay.model import EgressProxy, HostRule, ProxyTls
from nexus.local.relay.outgoing import Outgoing
from nexus.local.relay.placeholders import PlaceholderError
from nexus.local.relay.server import Relay

__all__ = [
    "Authority",
    "EgressProxy",
    "HostRule",
    "IdentityIssuer",
    "IdentityToken",
    "Outgoing",
    "PlaceholderError",
    "ProxyTls",
    "Relay",
]
