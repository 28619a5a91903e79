"""What a sandbox may reach and who may reach it, as the SDK asks for it."""

from __future__ import annotations

import httpx
import pytest
from e2b import Sandbox

from nexus.local.daemon import Endpoint
from nexus.local.sandboxes.model import ALL_TRAFFIC, NetworkSettings
from tests.local.engine_client import sdk


def test_no_internet_is_a_denial_that_allow_beats() -> None:
    assert NetworkSettings(internet=False).policy().internet is False
    mixed = NetworkSettings(internet=False, allow_out=("10.0.0.0/8",)).policy()
    assert mixed.internet is True
    assert mixed.allow_out == ("10.0.0.0/8",)
    assert mixed.deny_out == (ALL_TRAFFIC,)
    assert NetworkSettings().policy().internet is True


@pytest.mark.engine
def test_rules_are_shown_replaced_and_cleared(clean_engine: Endpoint) -> None:
    sandbox = Sandbox.create(
        network={"allow_out": ["8.8.8.8"], "deny_out": ["0.0.0.0/0"], "mask_request_host": "x:${PORT}"},
        **sdk(clean_engine),
    )
    assert sandbox.get_info().network == {
        "allow_out": ["8.8.8.8"],
        "deny_out": ["0.0.0.0/0"],
        "allow_public_traffic": True,
        "mask_request_host": "x:${PORT}",
    }
    sandbox.update_network({"deny_out": ["1.1.1.1"], "allow_internet_access": True})
    info = sandbox.get_info()
    assert info.allow_internet_access is True
    assert info.network == {
        "deny_out": ["1.1.1.1"],
        "allow_public_traffic": True,
        "mask_request_host": "x:${PORT}",
    }
    sandbox.update_network({})
    assert sandbox.get_info().network == {"allow_public_traffic": True, "mask_request_host": "x:${PORT}"}


@pytest.mark.engine
def test_private_ports_ask_for_the_traffic_token(clean_engine: Endpoint) -> None:
    sandbox = Sandbox.create(network={"allow_public_traffic": False}, **sdk(clean_engine))
    sandbox.commands.run("python3 -m http.server 8000 -d /etc", background=True)
    sandbox.commands.run("until curl -s localhost:8000 >/dev/null; do sleep 0.05; done")
    headers = {"E2b-Sandbox-Id": sandbox.sandbox_id, "E2b-Sandbox-Port": "8000"}
    with httpx.Client(base_url=clean_engine.sandbox_url, headers=headers) as client:
        assert client.get("/hostname").status_code == 403
        token = sandbox.traffic_access_token
        assert token
        assert client.get("/hostname", headers={"e2b-traffic-access-token": token}).status_code == 200


@pytest.mark.engine
def test_host_of_a_port_leads_to_it(clean_engine: Endpoint) -> None:
    sandbox = Sandbox.create(**sdk(clean_engine))
    sandbox.commands.run("python3 -m http.server 8000 -d /etc", background=True)
    sandbox.commands.run("until curl -s localhost:8000 >/dev/null; do sleep 0.05; done")
    host = sandbox.get_host(8000)
    answer = httpx.get(f"{clean_engine.sandbox_url}/hostname", headers={"Host": host})
    assert answer.text.strip() == sandbox.sandbox_id
