"""The control plane against E2B's own OpenAPI document: every operation is there and answers in the document's shapes.

``make fuzz`` does the same with thousands of requests.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import httpx
import pytest

from nexus.local.daemon import Endpoint
from tests.local.control_plane.openapi import Document, Operation
from tests.local.engine_client import rest

pytestmark = pytest.mark.engine

DOCUMENT = Document("e2b-openapi.yml")
OPERATIONS = {operation.name: operation for operation in DOCUMENT.operations()}


@pytest.fixture(scope="module")
def known(engine: Endpoint) -> Iterator[dict[str, str]]:
    """Path parameters of things that are there."""
    name = f"document-{uuid.uuid4().hex[:8]}"
    with rest(engine) as client:
        template = client.post("/v3/templates", json={"name": name}).json()
        sandbox = client.post("/v2/sandboxes", json={"templateID": "base", "timeout": 600}).json()["sandboxID"]
        volume = client.post("/volumes", json={"name": name}).json()["volumeID"]
        secret = client.post("/secrets", json={"name": name, "value": "v"}).json()["secretID"]
        yield {
            "sandboxID": sandbox,
            "templateID": template["templateID"],
            "buildID": template["buildID"],
            "alias": name,
            "volumeID": volume,
            "secretID": secret,
            "hash": "0" * 64,
        }
        made = [f"/sandboxes/{sandbox}", f"/templates/{name}", f"/volumes/{volume}", f"/secrets/{secret}"]
        # What the examples of bodies make is called x.
        volumes = [each["volumeID"] for each in client.get("/volumes").json() if each["name"] == "x"]
        for path in (*made, "/templates/x", "/secrets/x", *(f"/volumes/{each}" for each in volumes)):
            client.delete(path)


@pytest.mark.parametrize("name", OPERATIONS)
def test_operation_answers_in_the_shapes_of_the_document(
    name: str, engine: Endpoint, known: dict[str, str], request: pytest.FixtureRequest
) -> None:
    operation = OPERATIONS[name]
    with rest(engine) as client:
        answers = [ask(client, operation, {}), ask(client, operation, {}, body={})]
        if operation.method == "get":
            answers.append(ask(client, operation, known))
        if operation.body is not None:
            answers.append(ask(client, operation, {}, body=DOCUMENT.example(operation.body)))
    for answer in answers:
        DOCUMENT.check(operation, answer)
        assert answer.status_code != 405
        assert answer.text != '{"code":404,"message":"Not Found"}', "there is no such route"


@pytest.mark.parametrize("name", [name for name, operation in OPERATIONS.items() if operation.body is not None])
def test_bodies_that_the_document_does_not_allow_are_refused(
    name: str, engine: Endpoint, known: dict[str, str]
) -> None:
    operation = OPERATIONS[name]
    assert operation.body is not None
    with rest(engine) as client:
        for body in DOCUMENT.spoiled(operation.body):
            answer = ask(client, operation, known, body=body)
            DOCUMENT.check(operation, answer)
            assert 400 <= answer.status_code < 500, (name, body, answer.text)


@pytest.mark.parametrize("name", OPERATIONS)
def test_nothing_is_answered_without_a_credential(name: str, engine: Endpoint, known: dict[str, str]) -> None:
    operation = OPERATIONS[name]
    if operation.path == "/health":
        pytest.skip("is open to everyone")
    with httpx.Client(base_url=engine.api_url) as client:
        for headers in ({}, {"X-API-KEY": "e2b_" + "0" * 40}, {"Authorization": "Bearer wrong"}):
            answer = ask(client, operation, known, headers=headers)
            assert (answer.status_code, answer.json()["code"]) == (401, 401)


@pytest.mark.parametrize(
    "name",
    [
        name
        for name, operation in OPERATIONS.items()
        if operation.security and not any(option <= {"ApiKeyAuth"} for option in operation.security)
    ],
)
def test_what_an_ordinary_key_may_not_do_is_refused(name: str, engine: Endpoint, known: dict[str, str]) -> None:
    with rest(engine) as client:
        answer = ask(client, OPERATIONS[name], known, body={})
    assert answer.status_code == 401
    DOCUMENT.check(OPERATIONS[name], answer)


def ask(
    client: httpx.Client,
    operation: Operation,
    known: dict[str, str],
    *,
    body: object = None,
    headers: dict[str, str] | None = None,
) -> httpx.Response:
    """A request with what is known in its path, and made-up ids for the rest."""
    path = operation.path
    for parameter in ("sandboxID", "templateID", "buildID", "alias", "volumeID", "secretID", "hash"):
        path = path.replace(f"{{{parameter}}}", known.get(parameter, str(uuid.UUID(int=0))))
    path = path.replace("{", "").replace("}", "")
    content = {} if body is None else {"json": body}
    return client.request(operation.method.upper(), path, headers=headers, **content)  # type: ignore[arg-type]
