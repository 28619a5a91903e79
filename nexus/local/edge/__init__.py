"""The proxy in front of all machines: routing, error texts, WebSockets, signed URLs and per-port forwards."""

from nexus.local.edge.directory import Directory, Ingress, InTransitionError, NotResumedError, Reachable, Route
from nexus.local.edge.forwards import Forward, ForwardTable, NoAddressLeftError
from nexus.local.edge.open_streams import OpenStreams
from nexus.local.edge.server import Edge

__all__ = [
    "Directory",
    "Edge",
    "Forward",
    "ForwardTable",
    "InTransitionError",
    "Ingress",
    "NoAddressLeftError",
    "NotResumedError",
    "OpenStreams",
    "Reachable",
    "Route",
]
