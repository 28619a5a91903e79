"""The network settings of a sandbox as the API shows them: all but the proxy's password and authority."""

from __future__ import annotations

from nexus.local.relay.model import EgressProxy, HostRule
from nexus.local.sandboxes.network_settings import NetworkSettings

Json = dict[str, object]


def shown_network(network: NetworkSettings) -> Json:
    body: Json = {"allowPublicTraffic": network.allow_public_traffic}
    lists = {
        "allowOut": network.allow_out,
        "denyOut": network.deny_out,
        "dnsServers": network.dns_servers,
        "httpsPorts": network.https_ports,
    }
    body |= {key: list(values) for key, values in lists.items() if values is not None}
    if network.rules is not None:
        body["rules"] = {rule.host: [_rule(rule)] for rule in network.rules}
    if network.egress_proxy is not None:
        body["egressProxy"] = _proxy(network.egress_proxy)
    if network.mask_request_host is not None:
        body["maskRequestHost"] = network.mask_request_host
    return body


def _rule(rule: HostRule) -> Json:
    return {} if rule.headers is None else {"transform": {"headers": dict(rule.headers)}}


def _proxy(proxy: EgressProxy) -> Json:
    body: Json = {"address": proxy.address}
    if proxy.username is not None:
        body["username"] = proxy.username
    if proxy.tls is not None:
        body["tls"] = {"enabled": True}
        if proxy.tls.server_name is not None:
            body["tls"] = {"enabled": True, "serverName": proxy.tls.server_name}
    return body
