"""Secrets by the official SDK, against a running engine."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest
from e2b import AsyncSecret, Secret
from e2b.exceptions import SecretException, SecretNotFoundException

from nexus.local import daemon
from nexus.local.daemon import Endpoint
from tests.contents import contents_below
from tests.local.engine_client import rest, sdk

pytestmark = pytest.mark.engine


def unique(name: str) -> str:
    return f"{name}-{uuid.uuid4().hex[:8]}"


def test_a_secret_lives_from_create_to_destroy(engine: Endpoint) -> None:
    options = sdk(engine)
    name = unique("API-Key")
    made = Secret.create(name, "one", metadata={"env": "test"}, **options)
    assert made.secret_id.startswith("sec_")
    assert made.name == name.lower()
    assert (made.version, made.metadata) == (1, {"env": "test"})
    kept = Secret.update(name.upper(), "two", **options)
    assert (kept.secret_id, kept.version, kept.metadata) == (made.secret_id, 2, {"env": "test"})
    cleared = Secret.update(made.secret_id, "three", metadata={}, **options)
    assert (cleared.version, cleared.metadata) == (3, {})
    assert cleared.updated_at > made.updated_at
    assert cleared.created_at == made.created_at
    assert Secret.get_info(name, **options).secret_id == made.secret_id
    assert Secret.exists(made.secret_id, **options) is True
    assert Secret.destroy(name, **options) is True
    assert Secret.destroy(made.secret_id, **options) is False
    assert Secret.exists(name, **options) is False
    with pytest.raises(SecretNotFoundException):
        Secret.update(name, "four", **options)


async def test_the_asynchronous_client_does_all_of_it(engine: Endpoint) -> None:
    options = sdk(engine)
    name = unique("async")
    made = await AsyncSecret.create(name, "one", **options)
    assert (await AsyncSecret.update(name, "two", **options)).version == 2
    assert (await AsyncSecret.get_info(made.secret_id, **options)).name == name
    assert made.secret_id in {secret.secret_id for secret in await AsyncSecret.list(**options).next_items()}
    assert await AsyncSecret.destroy(name, **options) is True


def test_names_are_taken_whatever_their_case(engine: Endpoint) -> None:
    name = unique("taken")
    Secret.create(name, "one", **sdk(engine))
    with pytest.raises(SecretException, match="409"):
        Secret.create(name.upper(), "two", **sdk(engine))
    Secret.destroy(name, **sdk(engine))
    Secret.create(name, "again", **sdk(engine))
    Secret.destroy(name, **sdk(engine))


@pytest.mark.parametrize("name", ["", "sec_mine", "SEC_mine", "with space", "dotted.name", "x" * 129, "{brace}"])
def test_unusable_names_are_refused(engine: Endpoint, name: str) -> None:
    with pytest.raises(SecretException, match="400"):
        Secret.create(name, "value", **sdk(engine))


@pytest.mark.parametrize(
    "metadata",
    [
        {f"k{number}": "v" for number in range(33)},
        {"k" * 129: "v"},
        {"k": "v" * 1025},
        {f"k{number}": "v" * 1000 for number in range(9)},
    ],
)
def test_metadata_has_its_limits(engine: Endpoint, metadata: dict[str, str]) -> None:
    with pytest.raises(SecretException, match="400"):
        Secret.create(unique("limits"), "value", metadata=metadata, **sdk(engine))


def test_pages_lead_through_all_secrets(engine: Endpoint) -> None:
    names = [unique(f"page-{number}") for number in range(5)]
    for name in names:
        Secret.create(name, "value", **sdk(engine))
    paginator = Secret.list(limit=2, **sdk(engine))
    found: list[str] = []
    while paginator.has_next:
        items = paginator.next_items()
        assert len(items) <= 2
        found += [secret.name for secret in items]
    assert len(found) == len(set(found))
    assert [name for name in found if name in names] == names[::-1]
    for name in names:
        Secret.destroy(name, **sdk(engine))


def test_no_answer_carries_a_value(engine: Endpoint) -> None:
    name, value = unique("quiet"), "do-not-tell-4711"
    with rest(engine) as client:
        answers = [
            client.post("/secrets", json={"name": name, "value": value}),
            client.post(f"/secrets/{name}", json={"value": value + "-2"}),
            client.get(f"/secrets/{name}"),
            client.get("/secrets"),
            client.post("/secrets", json={"name": name, "value": value}),
            client.post("/secrets", json={"name": name, "value": [value]}),
            client.post("/secrets", json={"name": name, "value": value, "metadata": value}),
        ]
        assert [answer.status_code for answer in answers] == [201, 200, 200, 200, 409, 400, 400]
        assert not any(value in answer.text for answer in answers)
        client.delete(f"/secrets/{name}")


@pytest.mark.slow
def test_values_survive_a_restart_and_are_nowhere_in_plain(engine_home: Path) -> None:
    value = "s3cr3t-" + uuid.uuid4().hex
    endpoint = daemon.ensure_running(engine_home)
    made = Secret.create("kept", value, **sdk(endpoint))
    daemon.stop(engine_home)
    assert [path for path, content in contents_below(engine_home) if value.encode() in content] == []
    endpoint = daemon.ensure_running(engine_home)
    assert Secret.get_info("kept", **sdk(endpoint)).secret_id == made.secret_id
    assert Secret.update("kept", "next", **sdk(endpoint)).version == 2
