"""The names that ``get_host`` gives, used inside of other sandboxes by programs of every kind."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from typing import Any

import pytest
from e2b import CommandExitException, Sandbox

from tests.local.relay.conftest import World

pytestmark = pytest.mark.engine

CLIENTS = {
    "curl": "curl -sS --max-time 20 {url}",
    "python3": "python3 -c \"import urllib.request as u; print(u.urlopen('{url}', timeout=20).read().decode())\"",
    "node": "node -e \"fetch('{url}').then(answer => answer.text()).then(console.log)\"",
}


@pytest.fixture(scope="module")
def host(world: World) -> str:
    """What ``get_host`` gives where E2B_DOMAIN is what ``nexus local env`` says."""
    return f"8000-{world.outside.sandbox_id}.{world.outside.sandbox_domain}"


@pytest.fixture(scope="module")
def sandbox(world: World) -> Iterator[Sandbox]:
    sandbox = world.sandbox()
    yield sandbox
    sandbox.kill()


def fetch(sandbox: Sandbox, url: str, options: str = "") -> dict[str, Any]:
    found = json.loads(sandbox.commands.run(f"curl -sS --max-time 20 {options} '{url}'").stdout)
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_programs_reach_another_sandbox_by_name(sandbox: Sandbox, host: str, client: str, scheme: str) -> None:
    if shutil.which(client) is None:
        pytest.skip(f"this host has no {client}")
    told = json.loads(sandbox.commands.run(CLIENTS[client].format(url=f"{scheme}://{host}/path")).stdout)
    assert (told["path"], told["headers"]["host"]) == ("/path", [host])


def test_programs_with_an_environment_of_their_own_trust_it(sandbox: Sandbox, host: str) -> None:
    bare = "env -i PATH=$PATH python3 -c \"import urllib.request as u; u.urlopen('https://{}')\""
    sandbox.commands.run(bare.format(host))
    sandbox.commands.run(f"sudo env -i curl -sS https://{host}", timeout=20)


def test_new_bundles_of_the_system_keep_it(sandbox: Sandbox, host: str) -> None:
    if shutil.which("update-ca-certificates", path="/usr/sbin:/usr/bin") is None:
        pytest.skip("this host makes its bundle in another way")
    sandbox.commands.run("sudo update-ca-certificates --fresh")
    sandbox.commands.run(f"env -i curl -sS https://{host}")


def test_without_internet_no_sandbox_is_reached(world: World, host: str) -> None:
    alone = world.sandbox(allow_internet_access=False)
    for url in (f"http://{host}", f"https://{host}", f"http://127.0.0.1:{host.rpartition(':')[2]}"):
        with pytest.raises(CommandExitException) as failed:
            alone.commands.run(f"curl -sS {url}")
        assert failed.value.exit_code == 7
    alone.kill()


def test_a_name_can_be_all_that_is_allowed(world: World, host: str) -> None:
    narrow = world.sandbox(network={"allow_out": [host], "deny_out": ["0.0.0.0/0"]})
    assert fetch(narrow, f"https://{host}/")["headers"]["host"] == [host]
    assert narrow.get_info().network["allow_out"] == [host]
    narrow.kill()


def test_private_traffic_still_needs_its_token(world: World, sandbox: Sandbox) -> None:
    private = world.sandbox(network={"allow_public_traffic": False})
    private.commands.run("python3 -m http.server 8000", background=True)
    private.commands.run("until curl -s 127.0.0.1:8000 >/dev/null; do sleep 0.05; done")
    url = f"https://8000-{private.sandbox_id}.{private.sandbox_domain}/"
    status = "-o /dev/null -w '%{http_code}'"
    assert sandbox.commands.run(f"curl -sS {status} {url}").stdout == "403"
    token = f"-H 'e2b-traffic-access-token: {private.traffic_access_token}'"
    assert sandbox.commands.run(f"curl -sS {status} {token} {url}").stdout == "200"
    private.kill()


def test_envd_of_another_sandbox_still_needs_its_token(world: World, sandbox: Sandbox) -> None:
    url = f"http://49983-{world.outside.sandbox_id}.{world.outside.sandbox_domain}/envs"
    seen = sandbox.commands.run(f"curl -sS -o /dev/null -w '%{{http_code}}' {url}").stdout
    assert seen == "401"


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_rules_for_such_a_name_set_headers(world: World, host: str, scheme: str) -> None:
    ruled = world.sandbox(network={"rules": {host: [{"transform": {"headers": {"X-Test-Token": "value-123"}}}]}})
    assert fetch(ruled, f"{scheme}://{host}/headers")["headers"]["x-test-token"] == ["value-123"]
    assert list(ruled.get_info().network["rules"]) == [host]
    script = f"import urllib.request as u; print(u.urlopen('{scheme}://{host}/').read().decode())"
    told = json.loads(ruled.commands.run(f'python3 -c "{script}"').stdout)
    assert told["headers"]["x-test-token"] == ["value-123"]
    ruled.kill()


def test_headers_for_one_sandbox_do_not_reach_another(world: World, host: str) -> None:
    ruled = world.sandbox(network={"rules": {host: [{"transform": {"headers": {"X-Test-Token": "secret"}}}]}})
    ruled.files.write("/home/user/echo.py", world.outside.files.read("/home/user/echo.py"))
    ruled.commands.run("python3 echo.py 8000", background=True)
    ruled.commands.run("until curl -s 127.0.0.1:8000 >/dev/null; do sleep 0.05; done")
    other = host.replace(world.outside.sandbox_id, ruled.sandbox_id)
    for scheme in ("http", "https"):
        assert "x-test-token" not in fetch(ruled, f"{scheme}://{other}/")["headers"]
        # The connection is one to the name with the rule; the request names the other.
        told = fetch(ruled, f"{scheme}://{host}/", f"-H 'Host: {other}'")
        assert told["headers"]["host"] == [other]
        assert "x-test-token" not in told["headers"]
    ruled.kill()


def test_a_rule_with_another_port_does_not_count(world: World, host: str) -> None:
    name = host.partition(":")[0]
    ruled = world.sandbox(network={"rules": {f"{name}:1": [{"transform": {"headers": {"X-Test-Token": "v"}}}]}})
    assert "x-test-token" not in fetch(ruled, f"https://{host}/")["headers"]
    ruled.kill()
