"""Network settings as policies, and as they lie on disk."""

from __future__ import annotations

import json

import pytest

from nexus.local.relay import EgressProxy, HostRule, ProxyTls
from nexus.local.sandboxes.network_settings import NetworkSettings, decode, encode
from nexus.local.secrets import SealError, Vault

VAULT = Vault("key")
FULL = NetworkSettings(
    internet=False,
    allow_out=("example.com", "10.0.0.0/8"),
    deny_out=("0.0.0.0/0",),
    rules=(HostRule(host="a.test", headers={"X-Key": "secret-in-rule"}), HostRule(host="b.test")),
    egress_proxy=EgressProxy(
        host="proxy.test", port=1080, username="me", password="secret-login", tls=ProxyTls(ca_cert="pem")
    ),
    dns_servers=("1.1.1.1",),
    allow_public_traffic=False,
    mask_request_host="x:${PORT}",
    https_ports=(8443,),
)


@pytest.mark.parametrize("settings", [FULL, NetworkSettings(), NetworkSettings(rules=(), dns_servers=())])
def test_settings_come_back_as_they_were_written(settings: NetworkSettings) -> None:
    document = json.loads(json.dumps(encode(settings, VAULT, "i1")))
    assert decode(document, VAULT, "i1") == settings


def test_headers_and_logins_are_sealed_for_their_sandbox() -> None:
    document = encode(FULL, VAULT, "i1")
    assert "secret" not in json.dumps(document)
    assert "secret" not in repr(FULL)
    for vault, owner in ((VAULT, "i2"), (Vault("other"), "i1")):
        with pytest.raises(SealError):
            decode(document, vault, owner)


def test_records_of_earlier_versions_are_understood() -> None:
    earlier = {
        "internet": None,
        "allow_out": None,
        "deny_out": ["10.0.0.0/8"],
        "allow_public_traffic": True,
        "mask_request_host": None,
    }
    assert decode(earlier, VAULT, "i1") == NetworkSettings(deny_out=("10.0.0.0/8",))


def test_an_update_replaces_what_goes_out_and_nothing_else() -> None:
    updated = FULL.with_egress_of(NetworkSettings(deny_out=("1.1.1.1",)))
    assert updated == NetworkSettings(
        deny_out=("1.1.1.1",), allow_public_traffic=False, mask_request_host="x:${PORT}", https_ports=(8443,)
    )


def test_nameservers_are_allowed_where_domains_are() -> None:
    domains = NetworkSettings(allow_out=("example.com",), deny_out=("0.0.0.0/0",))
    assert domains.policy().allow_out == ("example.com", "8.8.8.8")
    assert FULL.policy().allow_out == ("example.com", "10.0.0.0/8", "1.1.1.1")
    none = NetworkSettings(allow_out=("example.com",), deny_out=("0.0.0.0/0",), dns_servers=())
    assert none.policy().allow_out == ("example.com",)
    assert NetworkSettings(allow_out=("10.0.0.1",), dns_servers=("1.1.1.1",)).policy().allow_out == ("10.0.0.1",)


def test_only_rules_that_set_headers_are_relayed() -> None:
    policy = FULL.policy()
    assert policy.relayed_hosts == ("a.test",)
    assert policy.relay_all
    assert FULL.needs_authority
    assert not NetworkSettings(rules=(HostRule(host="b.test"),)).needs_authority
