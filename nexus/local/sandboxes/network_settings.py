"""What a sandbox may reach and who may reach it: the settings, and how they are kept on disk."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from ipaddress import ip_network
from typing import Final

from nexus.local.isolation.base import NetworkPolicy
from nexus.local.relay.model import EgressProxy, HostRule, ProxyTls
from nexus.local.secrets import Vault

ALL_TRAFFIC: Final = "0.0.0.0/0"
DEFAULT_DNS_SERVERS: Final = ("8.8.8.8",)


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkSettings:
    """What a sandbox may reach, and who may reach it. ``internet`` None means that nobody said."""

    internet: bool | None = None
    allow_out: tuple[str, ...] | None = None
    deny_out: tuple[str, ...] | None = None
    rules: tuple[HostRule, ...] | None = None
    egress_proxy: EgressProxy | None = field(default=None, repr=False)
    dns_servers: tuple[str, ...] | None = None
    allow_public_traffic: bool = True
    mask_request_host: str | None = None
    https_ports: tuple[int, ...] | None = None

    def with_egress_of(self, other: NetworkSettings) -> NetworkSettings:
        """These settings with all that concerns outgoing traffic replaced."""
        return replace(
            self,
            internet=other.internet,
            allow_out=other.allow_out,
            deny_out=other.deny_out,
            rules=other.rules,
            egress_proxy=other.egress_proxy,
            dns_servers=other.dns_servers,
        )

    @property
    def needs_authority(self) -> bool:
        """Whether programs inside have to trust the relay's certificates."""
        return bool(self._hosts_with_headers())

    def policy(self) -> NetworkPolicy:
        """The egress part in the machine's terms: no internet is a denial of everything, which allow beats."""
        allowed, denied = self._allowed(), self.deny_out or ()
        hosts, everything = self._hosts_with_headers(), self.egress_proxy is not None
        if self.internet is False and not allowed:
            return NetworkPolicy(internet=False, relayed_hosts=hosts, relay_all=everything)
        if self.internet is False:
            denied = (*denied, ALL_TRAFFIC)
        return NetworkPolicy(allow_out=allowed, deny_out=denied, relayed_hosts=hosts, relay_all=everything)

    def _allowed(self) -> tuple[str, ...]:
        """With domains among them nameservers are allowed too, as a sandbox would have to ask them."""
        allowed = tuple(without_port(entry) for entry in self.allow_out or ())
        if all(is_network(entry) for entry in allowed):
            return allowed
        return (*allowed, *(DEFAULT_DNS_SERVERS if self.dns_servers is None else self.dns_servers))

    def _hosts_with_headers(self) -> tuple[str, ...]:
        return tuple(rule.name for rule in self.rules or () if rule.headers)


def is_network(entry: str) -> bool:
    """Whether a rule names an address or a block of them, not a domain."""
    try:
        ip_network(entry, strict=False)
    except ValueError:
        return False
    return True


def without_port(entry: str) -> str:
    """A rule's name; those of this engine's sandboxes may have the engine's port, as SDKs give them."""
    name, _, port = entry.partition(":")
    return name if port.isdecimal() and name.lower().endswith(".localhost") else entry


def encode(network: NetworkSettings, vault: Vault, owner: str) -> dict[str, object]:
    """What is kept on disk for the sandbox ``owner``. Headers and credentials may be secrets, so these are sealed."""
    document: dict[str, object] = {
        "internet": network.internet,
        "allow_out": _listed(network.allow_out),
        "deny_out": _listed(network.deny_out),
        "dns_servers": _listed(network.dns_servers),
        "allow_public_traffic": network.allow_public_traffic,
        "mask_request_host": network.mask_request_host,
        "https_ports": _listed(network.https_ports),
    }
    if network.rules is not None or network.egress_proxy is not None:
        confidential = {"rules": _rules_to_json(network.rules), "proxy": _proxy_to_json(network.egress_proxy)}
        document["sealed"] = vault.seal(json.dumps(confidential), _purpose(owner))
    return document


def decode(document: Mapping[str, object], vault: Vault, owner: str) -> NetworkSettings:
    """Raises KeyError, TypeError, ValueError and SealError for what :func:`encode` did not make."""
    sealed = document.get("sealed")
    confidential = {} if sealed is None else _mapping(json.loads(vault.open(str(sealed), _purpose(owner))))
    mask, internet = document["mask_request_host"], document["internet"]
    ports = _items(document.get("https_ports"))
    return NetworkSettings(
        internet=None if internet is None else bool(internet),
        allow_out=_texts(document["allow_out"]),
        deny_out=_texts(document["deny_out"]),
        rules=_rules_from_json(confidential.get("rules")),
        egress_proxy=_proxy_from_json(confidential.get("proxy")),
        dns_servers=_texts(document.get("dns_servers")),
        allow_public_traffic=bool(document["allow_public_traffic"]),
        mask_request_host=None if mask is None else str(mask),
        https_ports=None if ports is None else tuple(int(str(port)) for port in ports),
    )


def _purpose(owner: str) -> str:
    return f"network:{owner}"


def _rules_to_json(rules: tuple[HostRule, ...] | None) -> object:
    if rules is None:
        return None
    return [[rule.host, None if rule.headers is None else dict(rule.headers)] for rule in rules]


def _rules_from_json(value: object) -> tuple[HostRule, ...] | None:
    rows = _items(value)
    if rows is None:
        return None
    rules = []
    for row in rows:
        host, headers = _items(row) or (None, None)
        values = None if headers is None else {str(name): str(text) for name, text in _mapping(headers).items()}
        rules.append(HostRule(host=str(host), headers=values))
    return tuple(rules)


def _proxy_to_json(proxy: EgressProxy | None) -> object:
    if proxy is None:
        return None
    tls = None if proxy.tls is None else {"server_name": proxy.tls.server_name, "ca_cert": proxy.tls.ca_cert}
    return {
        "host": proxy.host,
        "port": proxy.port,
        "username": proxy.username,
        "password": proxy.password,
        "tls": tls,
    }


def _proxy_from_json(value: object) -> EgressProxy | None:
    if value is None:
        return None
    proxy = _mapping(value)
    tls = None if proxy["tls"] is None else _mapping(proxy["tls"])
    return EgressProxy(
        host=str(proxy["host"]),
        port=int(str(proxy["port"])),
        username=_text(proxy["username"]),
        password=_text(proxy["password"]),
        tls=None if tls is None else ProxyTls(server_name=_text(tls["server_name"]), ca_cert=_text(tls["ca_cert"])),
    )


def _listed(values: tuple[object, ...] | None) -> list[object] | None:
    return None if values is None else list(values)


def _items(value: object) -> list[object] | None:
    if value is not None and not isinstance(value, list):
        raise TypeError("expected a list")
    return value


def _texts(value: object) -> tuple[str, ...] | None:
    items = _items(value)
    return None if items is None else tuple(str(item) for item in items)


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _mapping(value: object) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise TypeError("expected an object")
    return value
