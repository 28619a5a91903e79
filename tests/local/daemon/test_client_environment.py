"""What ``nexus local env`` tells a shell, and what a shell that was told so passes on."""

from __future__ import annotations

import ssl
from pathlib import Path

import httpx
import pytest

from nexus.local import clients, daemon
from nexus.local.guest_trust import guest_environment
from nexus.local.trust import original_trust, trust_variables


def _authorities(bundle: str) -> int:
    return len(ssl.create_default_context(cafile=bundle).get_ca_certs())


@pytest.fixture
def company(tmp_path: Path) -> str:
    """A bundle that a company gave its hosts; any certificate will do."""
    path = tmp_path / "company.pem"
    authority = Path(trust_variables(tmp_path / "another", {})["NODE_EXTRA_CA_CERTS"])
    path.write_text(authority.read_text())
    return str(path)


def test_what_was_trusted_before_is_trusted_still(tmp_path: Path, company: str) -> None:
    told = trust_variables(tmp_path / "tls", {"SSL_CERT_FILE": company, "NODE_EXTRA_CA_CERTS": company})
    assert _authorities(told["SSL_CERT_FILE"]) == _authorities(told["NODE_EXTRA_CA_CERTS"]) == 2


def test_a_shell_can_be_told_twice(tmp_path: Path, company: str) -> None:
    once = trust_variables(tmp_path / "tls", {"SSL_CERT_FILE": company})
    assert trust_variables(tmp_path / "tls", {"SSL_CERT_FILE": company, **once}) == once
    assert _authorities(once["SSL_CERT_FILE"]) == 2


def test_variables_of_missing_files_are_left_alone(tmp_path: Path) -> None:
    told = trust_variables(tmp_path / "tls", {"SSL_CERT_FILE": "/nowhere.pem", "CURL_CA_BUNDLE": "/nowhere.pem"})
    assert not {"SSL_CERT_FILE", "CURL_CA_BUNDLE"} & set(told)


def test_the_variables_of_before_can_be_told_from_those_of_an_engine(tmp_path: Path, company: str) -> None:
    before = {"SSL_CERT_FILE": company, "HOME": "/home/me"}
    told = trust_variables(tmp_path / "tls", before)
    assert original_trust({**before, **told}) == before


def test_sandboxes_of_an_engine_that_such_a_shell_starts_get_the_hosts_bundle(tmp_path: Path) -> None:
    bundle = "/etc/ssl/certs/ca-certificates.crt"
    if not Path(bundle).is_file():
        pytest.skip("this host has no bundle of certificates")
    told = trust_variables(tmp_path / "tls", {"SSL_CERT_FILE": bundle})
    assert guest_environment(told) == {"SSL_CERT_FILE": bundle}


def test_names_resolve_only_where_all_addresses_are_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    def found(*addresses: str) -> None:
        entries = [(0, 0, 0, "", (address, 0)) for address in addresses]
        monkeypatch.setattr("socket.getaddrinfo", lambda *_args, **_options: entries)

    found("127.0.0.1", "::1")
    assert clients.resolves_sandbox_names()
    found("127.0.0.1", "192.0.2.1")
    assert not clients.resolves_sandbox_names()


@pytest.mark.engine
def test_the_variables_lead_to_the_engine(engine: daemon.Endpoint) -> None:
    told = daemon.client_environment(engine.home, {})
    with httpx.Client(base_url=told["E2B_API_URL"], headers={"X-API-Key": told["E2B_API_KEY"]}) as client:
        assert client.get("/v2/sandboxes").status_code == 200
    bearer = {"Authorization": f"Bearer {told['E2B_ACCESS_TOKEN']}"}
    with httpx.Client(base_url=told["E2B_API_URL"], headers=bearer) as client:
        (team,) = client.get("/teams").json()
    assert team["apiKey"] == told["E2B_API_KEY"]
    trusting = ssl.create_default_context(cafile=told["SSL_CERT_FILE"])
    port = told["E2B_DOMAIN"].partition(":")[2]
    answer = httpx.get(f"https://127.0.0.1:{port}/", headers={"Host": f"80-iabc.{told['E2B_DOMAIN']}"}, verify=trusting)
    assert (answer.status_code, answer.json()["sandboxId"]) == (502, "iabc")
