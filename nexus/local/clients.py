"""What an E2B client has to be told to reach an engine instead of E2B's cloud, and whether this host lets it."""

from __future__ import annotations

import ipaddress
import os
import shutil
import socket
from collections.abc import Mapping

from nexus.local.settings import Settings
from nexus.local.trust import trust_variables


def client_variables(settings: Settings, environment: Mapping[str, str]) -> dict[str, str]:
    """The variables that lead programs with ``environment`` to the engine. Raises OSError."""
    return {
        "E2B_API_URL": settings.api_url,
        "E2B_SANDBOX_URL": settings.sandbox_url,
        "E2B_VOLUME_API_URL": settings.api_url,
        "E2B_DOMAIN": settings.domain,
        "E2B_API_KEY": settings.api_key,
        "E2B_ACCESS_TOKEN": settings.access_token,
        **trust_variables(settings.certificates, environment),
    }


def resolves_sandbox_names() -> bool:
    """Whether programs on this host find sandboxes' ports by name: whether names under ``localhost`` are loopback."""
    try:
        found = socket.getaddrinfo("8000-sandbox.localhost", None, type=socket.SOCK_STREAM)
    except OSError:
        return False
    return all(ipaddress.ip_address(address[0]).is_loopback for *_, address in found)


def remedy_for_names() -> str:
    """What makes names under ``localhost`` resolve."""
    if shutil.which("apt-get"):
        return f"{'' if os.geteuid() == 0 else 'sudo '}apt-get install -y libnss-myhostname"
    return "put «myhostname» (of systemd) before «dns» in the line «hosts:» of /etc/nsswitch.conf"
