"""The network and identity parts of sandbox bodies, as E2B checks them."""

from __future__ import annotations

import ipaddress
import re
import ssl
from collections.abc import Collection, Iterable, Mapping
from typing import Final

from nexus.local.control_plane.bodies import Fields
from nexus.local.errors import InvalidRequestError
from nexus.local.relay.identity import TOKEN_TYPE, IdentityToken
from nexus.local.relay.model import EgressProxy, HostRule, ProxyTls
from nexus.local.relay.placeholders import tokens_in
from nexus.local.sandboxes.network_settings import ALL_TRAFFIC, NetworkSettings, is_network

_NAME: Final = r"([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
# What get_host() gives has the port that this engine's edge is on.
_PORT_NAME: Final = r"(\*|[a-z0-9-]{1,63})\.localhost:\d{1,5}"
_DOMAIN: Final = re.compile(rf"(\*|(\*\.)?{_NAME}|{_PORT_NAME})", re.IGNORECASE)
_RULE_HOST: Final = re.compile(rf"((\*\.)?{_NAME}|{_PORT_NAME})", re.IGNORECASE)
_HEADER_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_PROXY_ADDRESS: Final = re.compile(r"(?:\[([0-9a-fA-F:.]+)\]|([^\[\]:\s/@]+)):(\d{1,5})")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")

_MOST_RULES: Final = 10
_LONGEST_HOST: Final = 128
_MOST_HEADERS: Final = 20
_LONGEST_HEADER_NAME: Final = 64
_LONGEST_HEADER_VALUE: Final = 2048
# They belong to one connection, of which there are two here.
_FRAMING_HEADERS: Final = frozenset(
    {
        "connection",
        "content-length",
        "expect",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
_LONGEST_LOGIN: Final = 255
_LONGEST_SERVER_NAME: Final = 253
_LARGEST_CA: Final = 8192
_MOST_DNS_SERVERS: Final = 10
_MOST_HTTPS_PORTS: Final = 128
_ENVD_PORT: Final = 49983
_MOST_TOKENS: Final = 5


def parse_network(
    fields: Fields, internet: bool | None, *, ingress: bool, tokens: Collection[str] | None
) -> NetworkSettings:
    """The network part of a create (with ingress), or the whole body of an update.

    ``tokens`` are the names of identity tokens that rules may refer to; None leaves that to be checked later.
    """
    allowed, denied = fields.texts("allowOut"), fields.texts("denyOut")
    _check_egress(allowed or (), denied or (), internet=internet)
    rules = _rules(fields.object("rules"))
    if tokens is not None:
        check_tokens(rules or (), tokens)
    egress = NetworkSettings(
        internet=internet,
        allow_out=allowed,
        deny_out=denied,
        rules=rules,
        egress_proxy=_proxy(fields.object("egressProxy")),
        dns_servers=_dns_servers(fields),
    )
    if not ingress:
        return egress
    return NetworkSettings(
        allow_public_traffic=fields.flag("allowPublicTraffic", default=True),
        mask_request_host=_mask(fields.text("maskRequestHost")),
        https_ports=_https_ports(fields),
    ).with_egress_of(egress)


def parse_identity(fields: Fields | None) -> dict[str, IdentityToken]:
    """The identity tokens of a create, by name."""
    tokens = fields.object("tokens") if fields is not None else None
    if tokens is None:
        return {}
    if len(tokens.raw()) > _MOST_TOKENS:
        raise InvalidRequestError(f"iam.tokens has more than {_MOST_TOKENS} entries")
    found = {}
    for name in tokens.raw():
        token = tokens.object(name)
        if not name or "{" in name or "}" in name or _CONTROL.search(name) or token is None:
            raise InvalidRequestError(f"Invalid token name {name!r} in iam.tokens")
        if token.required_text("tokenType") != TOKEN_TYPE:
            raise InvalidRequestError(f"iam.tokens.{name}.tokenType must be {TOKEN_TYPE}")
        found[name] = IdentityToken(audience=token.required_text("audience"))
    return found


def check_tokens(rules: Iterable[HostRule], known: Collection[str]) -> None:
    """Refuse rules that refer to identity tokens which the sandbox does not have."""
    texts = [value for rule in rules for value in (rule.headers or {}).values()]
    if unknown := sorted(tokens_in(texts) - set(known)):
        raise InvalidRequestError(f"network rules refer to identity tokens that are not in iam.tokens: {unknown[0]}")


def _check_egress(allowed: Iterable[str], denied: Iterable[str], *, internet: bool | None) -> None:
    denied = list(denied)
    for entry in denied:
        if not is_network(entry):
            raise InvalidRequestError(f"Invalid denyOut entry '{entry}': an IP address or CIDR block is expected")
    names = [entry for entry in allowed if not is_network(entry)]
    for name in names:
        if _DOMAIN.fullmatch(name) is None:
            raise InvalidRequestError(
                f"Invalid allowOut entry '{name}': an IP address, CIDR block or domain is expected"
            )
    if names and internet is not False and ALL_TRAFFIC not in denied:
        raise InvalidRequestError(f"domains in allowOut need '{ALL_TRAFFIC}' in denyOut")


def _rules(fields: Fields | None) -> tuple[HostRule, ...] | None:
    if fields is None:
        return None
    if len(fields.raw()) > _MOST_RULES:
        raise InvalidRequestError(f"network rules name more than {_MOST_RULES} hosts")
    rules = [_rule(host, fields.objects(host)) for host in fields.raw()]
    if len({rule.host.lower() for rule in rules}) < len(rules):
        raise InvalidRequestError("network rules name a host twice")
    return tuple(rules)


def _rule(host: str, entries: list[Fields]) -> HostRule:
    if len(host) > _LONGEST_HOST or _RULE_HOST.fullmatch(host) is None or is_network(host):
        raise InvalidRequestError(
            f"Invalid host '{host[:_LONGEST_HOST]}' in network rules: a domain name, or one leading wildcard"
        )
    if len(entries) > 1:
        raise InvalidRequestError(f"network rules for '{host}' have more than one entry")
    transform = entries[0].object("transform") if entries else None
    headers = None if transform is None else transform.text_map("headers")
    if headers is not None:
        _check_headers(host, headers)
    return HostRule(host=host, headers=headers)


def _check_headers(host: str, headers: Mapping[str, str]) -> None:
    """Refusals name the header alone: its value may be a secret."""
    if len(headers) > _MOST_HEADERS:
        raise InvalidRequestError(f"network rules for '{host}' set more than {_MOST_HEADERS} headers")
    for name, value in headers.items():
        if len(name) > _LONGEST_HEADER_NAME or _HEADER_NAME.fullmatch(name) is None:
            raise InvalidRequestError(f"Invalid header name '{name[:_LONGEST_HEADER_NAME]}' in rules for '{host}'")
        if name.lower() in _FRAMING_HEADERS:
            raise InvalidRequestError(f"header '{name}' in rules for '{host}' cannot be set: it concerns connections")
        if len(value.encode()) > _LONGEST_HEADER_VALUE:
            raise InvalidRequestError(f"header '{name}' in rules for '{host}' is longer than {_LONGEST_HEADER_VALUE}")
        if _CONTROL.search(value.replace("\t", "")):
            raise InvalidRequestError(f"header '{name}' in rules for '{host}' holds control characters")
    if len({name.lower() for name in headers}) < len(headers):
        raise InvalidRequestError(f"network rules for '{host}' set a header twice")


def _proxy(fields: Fields | None) -> EgressProxy | None:
    """Refusals never repeat a user name or password."""
    if fields is None:
        return None
    found = _PROXY_ADDRESS.fullmatch(fields.required_text("address"))
    if found is None or not 0 < int(found[3]) < 65536:
        raise InvalidRequestError("Invalid egressProxy address: host:port is expected")
    logins = {}
    for key in ("username", "password"):
        text = fields.text(key)
        if text is not None and len(text.encode()) > _LONGEST_LOGIN:
            raise InvalidRequestError(f"egressProxy.{key} is longer than {_LONGEST_LOGIN} bytes")
        logins[key] = text
    return EgressProxy(
        host=found[1] or found[2],
        port=int(found[3]),
        username=logins["username"],
        password=logins["password"],
        tls=_proxy_tls(fields.object("tls")),
    )


def _proxy_tls(fields: Fields | None) -> ProxyTls | None:
    if fields is None or not fields.flag("enabled"):
        return None
    server_name, ca_cert = fields.text("serverName"), fields.text("caCert")
    if server_name is not None and len(server_name) > _LONGEST_SERVER_NAME:
        raise InvalidRequestError(f"egressProxy.tls.serverName is longer than {_LONGEST_SERVER_NAME}")
    if ca_cert is not None:
        if len(ca_cert.encode()) > _LARGEST_CA:
            raise InvalidRequestError(f"egressProxy.tls.caCert is larger than {_LARGEST_CA} bytes")
        try:
            ssl.create_default_context(cadata=ca_cert)
        except (ssl.SSLError, ValueError):
            raise InvalidRequestError("egressProxy.tls.caCert holds no PEM certificate") from None
    return ProxyTls(server_name=server_name or None, ca_cert=ca_cert or None)


def _dns_servers(fields: Fields) -> tuple[str, ...] | None:
    servers = fields.texts("dnsServers")
    if servers is None:
        return None
    if len(servers) > _MOST_DNS_SERVERS:
        raise InvalidRequestError(f"dnsServers has more than {_MOST_DNS_SERVERS} entries")
    for server in servers:
        try:
            ipaddress.IPv4Address(server)
        except ValueError:
            raise InvalidRequestError(f"Invalid dnsServers entry '{server}': an IPv4 address is expected") from None
    return servers


def _mask(mask: str | None) -> str | None:
    if mask is not None and re.search(r"[\s/\\@\x00-\x1f\x7f]", mask):
        raise InvalidRequestError("Invalid maskRequestHost: a host, with a port or ${PORT} if wanted, is expected")
    return mask or None


def _https_ports(fields: Fields) -> tuple[int, ...] | None:
    ports = fields.numbers("httpsPorts")
    if ports is None:
        return None
    if len(ports) > _MOST_HTTPS_PORTS:
        raise InvalidRequestError(f"httpsPorts has more than {_MOST_HTTPS_PORTS} entries")
    for port in ports:
        if not 0 < port < 65536 or port == _ENVD_PORT:
            raise InvalidRequestError(f"Invalid httpsPorts entry {port}: a port other than {_ENVD_PORT} is expected")
    return ports
