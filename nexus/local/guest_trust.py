"""What programs in sandboxes trust: this host's certificates, and the authority for names of sandboxes' ports."""

from __future__ import annotations

import os
from collections.abc import Mapping

from nexus.local.isolation.base import Isolation
from nexus.local.settings import CERTIFICATE_VARIABLES
from nexus.local.storage.authorities import AUTHORITY
from nexus.local.trust import original_trust

# Programs that bring their own certificates look at these.
_BUNDLE_VARIABLES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")
_EXTRA_VARIABLE = "NODE_EXTRA_CA_CERTS"


async def trust_in_guests(isolation: Isolation, authority: str, host: Mapping[str, str]) -> dict[str, str]:
    """Have sandboxes trust ``authority`` (PEM); returns the variables that tell their programs what to trust.

    ``host`` is the environment of this process. Raises OSError.
    """
    variables = guest_environment(host)
    bundle = await isolation.trust(authority, tuple(variables.values()))
    usual = {} if bundle is None else dict.fromkeys(_BUNDLE_VARIABLES, bundle)
    return {**usual, _EXTRA_VARIABLE: AUTHORITY, **variables}


def guest_environment(host: Mapping[str, str]) -> dict[str, str]:
    """What guests have to know of the host: certificate bundles that lie in ``/etc``, which they have a copy of."""
    host = original_trust(host)
    return {
        name: host[name]
        for name in CERTIFICATE_VARIABLES
        if os.path.normpath(host.get(name, "")).startswith(("/etc/", "/usr/"))
    }
