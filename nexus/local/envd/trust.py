"""Installing certificate authorities into the machine: its bundles, and the variables that point programs to them."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Mapping
from typing import Final

# update-ca-certificates finds it there, so that it stays when a package brings new certificates.
_OWN: Final = "/usr/local/share/ca-certificates/e2b-ca.crt"
_BUNDLES: Final = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)
# Programs that bring their own certificates look at these.
_BUNDLE_VARIABLES: Final = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")
_EXTRA_VARIABLE: Final = "NODE_EXTRA_CA_CERTS"
_OTHER_VARIABLES: Final = ("CURL_CA_BUNDLE", "PIP_CERT", "GIT_SSL_CAINFO", "AWS_CA_BUNDLE")


def install(bundle: str, environment: Mapping[str, str]) -> dict[str, str]:
    """Have the machine's programs trust the certificates in ``bundle`` (PEM) as well.

    ``environment`` is what programs get now; returns the variables to add to it. Raises OSError.
    """
    _write(_OWN, bundle)
    present = [path for path in _BUNDLES if os.path.isfile(path)] or [_BUNDLES[0]]
    _add_to_all(present, bundle)
    variables = {name: environment.get(name) or present[0] for name in _BUNDLE_VARIABLES}
    variables[_EXTRA_VARIABLE] = environment.get(_EXTRA_VARIABLE) or _OWN
    variables |= {name: environment[name] for name in _OTHER_VARIABLES if environment.get(name)}
    return {name: _with_certificates(path, bundle, present[0]) for name, path in variables.items()}


def _add_to_all(paths: Iterable[str], bundle: str) -> None:
    # One may be a link to another.
    for path in {os.path.realpath(path) for path in paths}:
        _add(path, bundle)


def _with_certificates(path: str, bundle: str, fallback: str) -> str:
    """The file that a variable should name: the same one, if it can be added to."""
    if path == _OWN:
        return path
    try:
        _add(os.path.realpath(path), bundle)
    except OSError:
        return fallback
    return path


def _add(path: str, bundle: str) -> None:
    content = ""
    with contextlib.suppress(FileNotFoundError), open(path, encoding="utf-8", errors="surrogateescape") as file:
        content = file.read()
    if bundle.strip() not in content:
        _write(path, f"{content.rstrip()}\n{bundle}" if content else bundle)


def _write(path: str, content: str) -> None:
    """Whole or not at all: programs may be reading it."""
    os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
    fresh = f"{path}.e2b-new"
    with open(fresh, "w", encoding="utf-8", errors="surrogateescape") as file:
        file.write(content)
    os.chmod(fresh, 0o644)
    os.replace(fresh, path)
