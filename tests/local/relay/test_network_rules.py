"""Header rules for requests that leave sandboxes, as the official SDK asks for them."""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from e2b import AsyncSandbox, CommandExitException, Sandbox, Secret

from tests.local.engine_client import rest, sdk
from tests.local.relay.conftest import API, FOREIGN, OTHER, SECURE, World

pytestmark = pytest.mark.engine


def rules(**headers: str) -> dict[str, list[dict[str, Any]]]:
    """The same headers for the plain and the secure server."""
    transform = {"transform": {"headers": {name.replace("_", "-"): value for name, value in headers.items()}}}
    return {API: [transform], SECURE: [transform]}


def fetch(sandbox: Sandbox, url: str, options: str = "") -> dict[str, Any]:
    found = json.loads(sandbox.commands.run(f"curl -sS --max-time 20 {options} '{url}'").stdout)
    assert isinstance(found, dict)
    return found


@pytest.fixture
def ruled(world: World) -> Iterator[Sandbox]:
    sandbox = world.sandbox(network={"rules": rules(X_Injected="yes", Authorization="Bearer from-rule")})
    yield sandbox
    sandbox.kill()


def test_requests_get_the_headers_over_http_and_https(world: World, ruled: Sandbox) -> None:
    for name in (API, SECURE):
        told = fetch(ruled, f"{world.urls[name]}/path?q=1", "-X POST -d body -H 'Authorization: mine'")
        assert (told["method"], told["path"], told["body"]) == ("POST", "/path?q=1", "body")
        assert told["headers"]["x-injected"] == ["yes"]
        assert told["headers"]["authorization"] == ["Bearer from-rule"]
        assert told["headers"]["host"] == [world.urls[name].partition("//")[2]]


def test_other_hosts_and_other_sandboxes_are_left_alone(world: World, ruled: Sandbox) -> None:
    assert "x-injected" not in fetch(ruled, world.urls[OTHER])["headers"]
    plain = world.sandbox()
    assert "x-injected" not in fetch(plain, world.urls[API])["headers"]
    with pytest.raises(CommandExitException) as failed:
        fetch(plain, world.urls[SECURE])
    assert "certificate" in failed.value.stderr
    plain.kill()


def test_hosts_without_rules_keep_their_own_certificates(world: World, ruled: Sandbox) -> None:
    seen = ruled.commands.run(
        f"openssl s_client -connect {world.urls[FOREIGN][8:]} -servername {FOREIGN} </dev/null 2>/dev/null "
        "| openssl x509 -noout -issuer"
    )
    assert FOREIGN in seen.stdout


def test_a_host_header_alone_gets_no_secrets(world: World, ruled: Sandbox) -> None:
    told = fetch(ruled, world.urls[OTHER], f"-H 'Host: {API}'")
    assert told["headers"]["host"] == [API]
    assert "x-injected" not in told["headers"]


def test_a_destination_with_a_wrong_certificate_gets_no_request(world: World) -> None:
    sandbox = world.sandbox(network={"rules": {FOREIGN: [{"transform": {"headers": {"X-Key": "k"}}}]}})
    told = fetch(sandbox, world.urls[FOREIGN])
    assert told["code"] == 502
    assert "not trusted" in told["message"]
    sandbox.kill()


def test_programs_of_every_kind_trust_the_relay(world: World, ruled: Sandbox) -> None:
    url = world.urls[SECURE]
    script = f"import urllib.request, json; print(urllib.request.urlopen('{url}').read().decode())"
    assert json.loads(ruled.commands.run(f'python3 -c "{script}"').stdout)["headers"]["x-injected"] == ["yes"]
    assert json.loads(ruled.commands.run(f"sudo curl -sS {url}").stdout)["headers"]["x-injected"] == ["yes"]
    environment = ruled.commands.run("env").stdout
    for variable in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS"):
        path = next(line.partition("=")[2] for line in environment.splitlines() if line.startswith(f"{variable}="))
        assert "nexus" in ruled.commands.run(f"openssl storeutl -noout -text -certs {path} | grep 'Subject: CN'").stdout


def test_connections_are_kept_alive_and_bodies_stream(world: World, ruled: Sandbox) -> None:
    url = world.urls[SECURE]
    ruled.commands.run("head -c 3000000 /dev/zero | tr '\\0' x > big")
    out = ruled.commands.run(f"curl -sS -v {url}/1 {url}/2 -T big {url}/3 2>&1 | grep -c 'Connected to'").stdout
    assert out.strip() == "1"
    told = fetch(
        ruled, url, "-X PUT -H 'Transfer-Encoding: chunked' -H 'Content-Type: text/plain' --data-binary @/dev/null"
    )
    assert told["headers"]["x-injected"] == ["yes"]
    assert len(fetch(ruled, url, "-X POST --data-binary @big")["body"]) == 3_000_000


def test_secrets_are_filled_in_on_the_way_out(world: World) -> None:
    name, value = f"key-{uuid.uuid4().hex[:8]}", f"value-{uuid.uuid4().hex}"
    Secret.create(name, value, **sdk(world.endpoint))
    sandbox = world.sandbox(network={"rules": rules(X_Key=f"Bearer {Secret.fill(name)}", X_Plain="plain")})
    for host in (API, SECURE):
        assert fetch(sandbox, world.urls[host])["headers"]["x-key"] == [f"Bearer {value}"]
    assert sandbox.get_info().network["rules"][API] == [
        {"transform": {"headers": {"X-Key": f"Bearer {Secret.fill(name)}", "X-Plain": "plain"}}}
    ]
    Secret.update(name, "rotated", **sdk(world.endpoint))
    assert fetch(sandbox, world.urls[API])["headers"]["x-key"] == ["Bearer rotated"]
    Secret.destroy(name, **sdk(world.endpoint))
    told = fetch(sandbox, world.urls[SECURE])
    assert (told["code"], name in told["message"]) == (502, True)
    sandbox.kill()


def test_identity_tokens_verify_with_the_engines_keys(world: World) -> None:
    sandbox = world.sandbox(
        iam={"tokens": {"cloud": Secret.iam_token(audience="sts.example.test", token_type="JWT-SVID")}},
        network={"rules": {API: [{"transform": lambda ctx: {"headers": {"X-Token": ctx.iam.tokens["cloud"]}}}]}},
    )
    (token,) = fetch(sandbox, world.urls[API])["headers"]["x-token"]
    header, claims, signature = (base64.urlsafe_b64decode(part + "==") for part in token.split("."))
    keys = httpx.get(f"{world.endpoint.api_url}/nexus/identity/keys").json()["keys"]
    key = next(key for key in keys if key["kid"] == json.loads(header)["kid"])
    x, y = (int.from_bytes(base64.urlsafe_b64decode(key[name] + "=")) for name in ("x", "y"))
    public = ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()
    r, s = int.from_bytes(signature[:32]), int.from_bytes(signature[32:])
    public.verify(encode_dss_signature(r, s), token.rpartition(".")[0].encode(), ec.ECDSA(SHA256()))
    told = json.loads(claims)
    assert told["aud"] == ["sts.example.test"]
    assert told["sub"].endswith(f"/sandbox/{sandbox.sandbox_id}")
    assert told["exp"] - told["iat"] <= 600
    sandbox.kill()


def test_rules_come_and_go_with_updates(world: World) -> None:
    sandbox = world.sandbox()
    assert "x-later" not in fetch(sandbox, world.urls[API])["headers"]
    sandbox.update_network({"rules": rules(X_Later="now")})
    assert fetch(sandbox, world.urls[API])["headers"]["x-later"] == ["now"]
    assert fetch(sandbox, world.urls[SECURE])["headers"]["x-later"] == ["now"]
    sandbox.update_network({"rules": rules(X_Later="changed")})
    assert fetch(sandbox, world.urls[SECURE])["headers"]["x-later"] == ["changed"]
    sandbox.update_network({})
    assert "x-later" not in fetch(sandbox, world.urls[API])["headers"]
    assert "rules" not in sandbox.get_info().network
    sandbox.kill()


def test_a_denied_host_stays_denied_by_rules(world: World) -> None:
    sandbox = world.sandbox(network={"deny_out": ["0.0.0.0/0"], "allow_out": [OTHER], "rules": rules(X_Key="k")})
    with pytest.raises(CommandExitException):
        fetch(sandbox, world.urls[API])
    assert "x-key" not in fetch(sandbox, world.urls[OTHER])["headers"]
    sandbox.kill()


def test_wildcards_give_way_to_exact_names(world: World) -> None:
    network = {
        "rules": {
            "*.example.test": [{"transform": {"headers": {"X-By": "wildcard"}}}],
            API: [{"transform": {"headers": {"X-By": "name"}}}],
        }
    }
    sandbox = world.sandbox(network=network)
    assert fetch(sandbox, world.urls[API])["headers"]["x-by"] == ["name"]
    assert fetch(sandbox, world.urls[OTHER])["headers"]["x-by"] == ["wildcard"]
    sandbox.kill()


async def test_the_asynchronous_client_sets_rules_too(world: World) -> None:
    sandbox = await AsyncSandbox.create(network={"rules": rules(X_Async="yes")}, **sdk(world.endpoint))
    result = await sandbox.commands.run(f"curl -sS {world.urls[API]}")
    assert json.loads(result.stdout)["headers"]["x-async"] == ["yes"]
    await sandbox.update_network({})
    result = await sandbox.commands.run(f"curl -sS {world.urls[API]}")
    assert "x-async" not in json.loads(result.stdout)["headers"]
    await sandbox.kill()


TRANSFORM = {"transform": {"headers": {"X": "v"}}}


@pytest.mark.parametrize(
    "network",
    [
        {"rules": {f"h{number}.test": [TRANSFORM] for number in range(11)}},
        {"rules": {"a.test": [TRANSFORM, TRANSFORM]}},
        {"rules": {"10.0.0.1": [TRANSFORM]}},
        {"rules": {"a.*.test": [TRANSFORM]}},
        {"rules": {"x" * 125 + ".test": [TRANSFORM]}},
        {"rules": {"a.test": [{"transform": {"headers": {f"X-{number}": "v" for number in range(21)}}}]}},
        {"rules": {"a.test": [{"transform": {"headers": {"X" * 65: "v"}}}]}},
        {"rules": {"a.test": [{"transform": {"headers": {"X": "v" * 2049}}}]}},
        {"rules": {"a.test": [{"transform": {"headers": {"X y": "v"}}}]}},
        {"rules": {"a.test": [{"transform": {"headers": {"X": "v\r\nY: w"}}}]}},
        {"rules": {"a.test": [{"transform": {"headers": {"Content-Length": "3"}}}]}},
        {"rules": {"a.test": [{"transform": {"headers": {"X": "${e2b.identity.tokens.none}"}}}]}},
        {"egressProxy": {"address": "no-port"}},
        {"egressProxy": {"address": "h:1080", "username": "u" * 256}},
        {"egressProxy": {"address": "h:1080", "tls": {"enabled": True, "caCert": "no certificate"}}},
        {"dnsServers": ["::1"]},
        {"dnsServers": ["1.1.1.1"] * 11},
        {"httpsPorts": [49983]},
        {"httpsPorts": [0]},
        {"httpsPorts": list(range(1, 130))},
        {"maskRequestHost": "a host"},
    ],
)
def test_network_settings_beyond_their_limits_are_refused(world: World, network: dict[str, Any]) -> None:
    with rest(world.endpoint) as client:
        answer = client.post("/v2/sandboxes", json={"templateID": "base", "network": network})
        assert answer.status_code == 400, answer.text
        assert answer.json()["code"] == 400
        updated = client.put(f"/sandboxes/{world.outside.sandbox_id}/network", json=network)
        is_egress = not {"httpsPorts", "maskRequestHost"} & set(network)
        assert updated.status_code == (400 if is_egress else 204)


@pytest.mark.parametrize(
    "tokens",
    [
        {f"t{number}": {"audience": "a", "tokenType": "JWT-SVID"} for number in range(6)},
        {"t": {"audience": "a", "tokenType": "X509-SVID"}},
        {"t": {"tokenType": "JWT-SVID"}},
        {"a}": {"audience": "a", "tokenType": "JWT-SVID"}},
    ],
)
def test_identity_tokens_beyond_their_limits_are_refused(world: World, tokens: dict[str, Any]) -> None:
    with rest(world.endpoint) as client:
        answer = client.post("/v2/sandboxes", json={"templateID": "base", "iam": {"tokens": tokens}})
        assert answer.status_code == 400, answer.text
