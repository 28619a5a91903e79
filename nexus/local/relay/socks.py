"""Reaching a destination through a SOCKS5 proxy (RFC 1928), with user name and password (RFC 1929) or without."""

from __future__ import annotations

import asyncio
import ssl
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final

from nexus.local.relay.model import EgressProxy

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]

_VERSION: Final = 5
_NO_LOGIN: Final = 0
_LOGIN: Final = 2
_CONNECT: Final = 1
_IPV4, _DOMAIN, _IPV6 = 1, 3, 4
_REFUSALS: Final = {
    1: "general failure",
    2: "not allowed by its rules",
    3: "network unreachable",
    4: "host unreachable",
    5: "connection refused",
    6: "time to live expired",
    7: "command not supported",
    8: "address type not supported",
}


class ProxyError(OSError):
    """The proxy cannot be used, or could not reach the destination. The text holds no credentials."""


async def connect_through(proxy: EgressProxy, host: str, port: int, *, limit: int) -> Streams:
    """Streams to ``host`` (a name is resolved by the proxy), with buffers of ``limit`` bytes. Raises OSError."""
    try:
        reader, writer = await asyncio.open_connection(
            proxy.host, proxy.port, limit=limit, ssl=_tls(proxy), server_hostname=_server_name(proxy)
        )
    except (OSError, ssl.SSLError) as error:
        raise ProxyError(f"the egress proxy cannot be reached: {error}") from error
    try:
        await _log_in(proxy, reader, writer)
        await _ask(reader, writer, host, port)
    except asyncio.IncompleteReadError as error:
        writer.transport.abort()
        raise ProxyError("the egress proxy closed the connection") from error
    except BaseException:
        writer.transport.abort()
        raise
    return reader, writer


def _tls(proxy: EgressProxy) -> ssl.SSLContext | None:
    return None if proxy.tls is None else ssl.create_default_context(cadata=proxy.tls.ca_cert)


def _server_name(proxy: EgressProxy) -> str | None:
    return None if proxy.tls is None else proxy.tls.server_name or proxy.host


async def _log_in(proxy: EgressProxy, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    has_login = proxy.username is not None or proxy.password is not None
    methods = bytes([_NO_LOGIN, _LOGIN] if has_login else [_NO_LOGIN])
    writer.write(bytes([_VERSION, len(methods)]) + methods)
    version, method = await reader.readexactly(2)
    if version != _VERSION:
        raise ProxyError("the egress proxy does not speak SOCKS5")
    if method == _NO_LOGIN:
        return
    if method != _LOGIN or not has_login:
        raise ProxyError("the egress proxy wants another way to log in")
    words = [(proxy.username or "").encode(), (proxy.password or "").encode()]
    writer.write(b"\x01" + b"".join(bytes([len(word)]) + word for word in words))
    _, status = await reader.readexactly(2)
    if status != 0:
        raise ProxyError("the egress proxy refused the user name or password")


async def _ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str, port: int) -> None:
    writer.write(bytes([_VERSION, _CONNECT, 0]) + _address(host) + port.to_bytes(2, "big"))
    _, reply, _, kind = await reader.readexactly(4)
    if reply != 0:
        raise ProxyError(f"the egress proxy could not connect: {_REFUSALS.get(reply, f'reply {reply}')}")
    match kind:
        case 1:
            size = 4
        case 4:
            size = 16
        case 3:
            size = (await reader.readexactly(1))[0]
        case _:
            raise ProxyError("the egress proxy answered with an unknown kind of address")
    await reader.readexactly(size + 2)


def _address(host: str) -> bytes:
    try:
        address: IPv4Address | IPv6Address = ip_address(host)
    except ValueError:
        name = host.encode("idna")
        return bytes([_DOMAIN, len(name)]) + name
    return bytes([_IPV4 if address.version == 4 else _IPV6]) + address.packed
