"""Bundles of certificates that hold the engine's authority beside whatever a program trusted before.

``nexus local env`` points a shell's programs at them. What the shell said before is noted in each bundle, because an
engine that is started from that shell passes the original on to its guests.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from pathlib import Path

from nexus.local.documents import write_text
from nexus.local.edge.certificates import ensure_authority

_NODE = "NODE_EXTRA_CA_CERTS"
_VARIABLES = (_NODE, "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
# Without SSL_CERT_FILE curl takes another bundle; without its own variable it takes SSL_CERT_FILE.
_ONLY_WHEN_SET = "CURL_CA_BUNDLE"
_MARK = "# Certificates for programs that use a nexus engine, and those of: "
_SYSTEM_BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)


def trust_variables(folder: Path, environment: Mapping[str, str]) -> dict[str, str]:
    """What lets programs trust the authority in ``folder`` as well as what they trust by ``environment``.

    Raises OSError.
    """
    authority = ensure_authority(folder)
    before = original_trust(environment)
    variables = {}
    for name in _VARIABLES:
        if name not in before and name == _NODE:
            variables[name] = str(authority)
        elif (source := _source(name, before)) is not None:
            bundle = folder / f"{name.lower()}.pem"
            mark = f"{_MARK}{before.get(name, '')}\n"
            write_text(bundle, f"{mark}{source.read_text(errors='replace')}\n{authority.read_text()}")
            variables[name] = str(bundle)
    return variables


def original_trust(environment: Mapping[str, str]) -> dict[str, str]:
    """``environment`` as it was before a shell was told of any engine's bundles."""
    return {name: original for name, value in environment.items() if (original := _original(name, value)) is not None}


def _original(name: str, value: str) -> str | None:
    """None for a variable that was not set."""
    if name not in _VARIABLES or not value.endswith(".pem"):
        return value
    if Path(value).name == "ca.pem" and (Path(value).parent / "ca-key.pem").exists():
        return None
    try:
        with Path(value).open(encoding="utf-8", errors="replace") as file:
            first = file.readline()
    except OSError:
        return value
    return (first.removeprefix(_MARK).strip() or None) if first.startswith(_MARK) else value


def _source(name: str, before: Mapping[str, str]) -> Path | None:
    """The file with what is trusted so far; None when the variable is better left as it is."""
    if name in before:
        path = Path(before[name])
        return path if path.is_file() else None
    return None if name == _ONLY_WHEN_SET else _system_bundle()


def _system_bundle() -> Path | None:
    candidates = (ssl.get_default_verify_paths().openssl_cafile, *_SYSTEM_BUNDLES)
    return next((Path(path) for path in candidates if path and Path(path).is_file()), None)
