"""Hosts whose certificate authorities are their own: sandboxes know them too."""

from __future__ import annotations

from pathlib import Path

import pytest
from e2b import Sandbox

from nexus.local import daemon
from nexus.local.guest_trust import guest_environment
from tests.local.engine_client import sdk

_BUNDLE = "/etc/ssl/certs/ca-certificates.crt"


def test_only_bundles_that_lie_where_sandboxes_see_them_are_named() -> None:
    host = {
        "PIP_CERT": _BUNDLE,
        "GIT_SSL_CAINFO": "/usr/share/ca/bundle.pem",
        "SSL_CERT_FILE": "/home/me/bundle.pem",
        "CURL_CA_BUNDLE": "/etc/../root/bundle.pem",
        "REQUESTS_CA_BUNDLE": "",
        "SECRET": "/etc/x",
    }
    assert guest_environment(host) == {"PIP_CERT": _BUNDLE, "GIT_SSL_CAINFO": "/usr/share/ca/bundle.pem"}


@pytest.mark.engine
def test_sandboxes_find_and_can_read_the_bundle(engine_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not Path(_BUNDLE).is_file():
        pytest.skip("this host has no bundle of certificates")
    for name in ("SSL_CERT_FILE", "PIP_CERT", "NODE_EXTRA_CA_CERTS", "GIT_SSL_CAINFO"):
        monkeypatch.setenv(name, _BUNDLE)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/home/me/bundle.pem")
    sandbox = Sandbox.create(**sdk(daemon.ensure_running(engine_home)))
    seen = sandbox.commands.run(
        "for f in $SSL_CERT_FILE $PIP_CERT $NODE_EXTRA_CA_CERTS $GIT_SSL_CAINFO; do wc -c <$f; done"
    )
    # With one authority more, that of the engine itself.
    sizes = [int(size) for size in seen.stdout.split()]
    assert len(sizes) == 4
    assert set(sizes) == {sizes[0]}
    assert 0 < sizes[0] - Path(_BUNDLE).stat().st_size < 2000
    assert sandbox.commands.run("sudo sh -c 'wc -c <$SSL_CERT_FILE'").stdout.split() == seen.stdout.split()[:1]
    assert sandbox.commands.run('echo "$REQUESTS_CA_BUNDLE"').stdout == f"{_BUNDLE}\n"
    loaded = "python3 -c 'import ssl; print(len(ssl.create_default_context().get_ca_certs()) > 0)'"
    assert sandbox.commands.run(loaded).stdout == "True\n"
