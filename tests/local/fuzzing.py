"""``make fuzz``: Schemathesis holds a local engine against E2B's OpenAPI documents.

``python -m tests.local.fuzzing [control-plane|accounts|volumes|envd …]`` starts an engine of its own with
small limits, prepares sandboxes, a template, a volume and a secret for the fuzzer to find, and removes all of it again.
"""

from __future__ import annotations

import argparse
import copy
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import yaml
from e2b import Sandbox

from nexus.local import daemon
from nexus.local.daemon import Endpoint
from nexus.local.settings import load_settings
from tests.local.engine_client import rest, sdk

DOCUMENTS = Path(__file__).parent / "control_plane" / "spec"
LIMITS = {
    "max_timeout": 3600,
    "concurrent_sandboxes": 12,
    "concurrent_builds": 2,
    "volumes": 20,
    "snapshots": 20,
    "secrets": 20,
}
# What the server answers although the document does not list it for every operation.
_ALWAYS_POSSIBLE = ("400", "401", "403", "404", "409", "413", "422", "429")
_ERROR = {
    "description": "Error",
    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
}
# The document allows more than the server takes: names, tags and references have a grammar, numbers have limits, some
# fields exclude each other. So valid data may be refused, and this check would only find that.
_LEFT_OUT = "positive_data_acceptance"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One run of the fuzzer: a document, where it is served, and the headers that open it."""

    name: str
    document: dict[str, Any]
    url: str
    headers: dict[str, str]
    left_out: tuple[str, ...] = ()


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.local.fuzzing", description=__doc__)
    parser.add_argument("targets", nargs="*", choices=[[], *_TARGETS], default=[])
    parser.add_argument("--examples", type=int, default=25)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=int, help="an end for each run")
    parser.add_argument("--report", type=Path, help="a folder for reports")
    chosen = parser.parse_args(arguments)
    failed = []
    with _engine() as endpoint:
        for name in chosen.targets or list(_TARGETS):
            target = _TARGETS[name](endpoint)
            sys.stderr.write(f"\n--- {name}\n")
            if _run(target, chosen) != 0:
                failed.append(name)
    sys.stderr.write(f"\nfailed: {', '.join(failed) or 'none'}\n")
    return 1 if failed else 0


def control_plane(endpoint: Endpoint) -> Target:
    """Everything an API key may ask for, and what it may not."""
    with rest(endpoint) as client:
        known = _prepare(client)
    document = _documented("e2b-openapi.yml")
    for name, values in known.items():
        if name in document["components"]["parameters"]:
            _offer(document["components"]["parameters"][name]["schema"], values)
    _offer(document["components"]["schemas"]["NewSandbox"]["properties"]["templateID"], known["templateID"])
    # A negative one counts as none.
    del document["components"]["schemas"]["SandboxTimeoutRequest"]["properties"]["timeout"]["minimum"]
    _add_second_forms(document)
    _open_with(document, "ApiKeyAuth")
    return Target(
        name="control-plane",
        document=document,
        url=endpoint.api_url,
        headers={"X-API-Key": endpoint.api_key},
    )


def accounts(endpoint: Endpoint) -> Target:
    """What an access token opens."""
    document = _documented("e2b-openapi.yml")
    for path, item in list(document["paths"].items()):
        opened = {key: value for key, value in item.items() if not isinstance(value, dict) or _takes_token(value)}
        document["paths"][path] = opened
    _open_with(document, "AccessTokenAuth")
    return Target(
        name="accounts",
        document=document,
        url=endpoint.api_url,
        headers={"Authorization": f"Bearer {_access_token(endpoint)}"},
        # The other operations of the same paths are there, and left out here.
        left_out=("unsupported_method", "allow_header_conformance"),
    )


def volumes(endpoint: Endpoint) -> Target:
    """The content of one volume."""
    with rest(endpoint) as client:
        volume = client.post("/volumes", json={"name": "fuzzed-content"}).json()
    document = _documented("e2b-openapi-volumecontent.yml")
    _offer(document["components"]["parameters"]["volumeID"]["schema"], [volume["volumeID"]])
    _offer(document["components"]["parameters"]["path"]["schema"], ["/a", "/a/b", "/"])
    return Target(
        name="volumes",
        document=document,
        url=endpoint.api_url,
        headers={"Authorization": f"Bearer {volume['token']}"},
    )


def envd(endpoint: Endpoint) -> Target:
    """envd of one sandbox, through the edge."""
    sandbox = Sandbox.create(timeout=3600, **sdk(endpoint))
    document = _documented("envd-openapi.yaml")
    for path in [path for path, item in document["paths"].items() if _is_internal(item)]:
        del document["paths"][path]
    # envd tells what a file is by its name and its first bytes.
    answer = document["paths"]["/files"]["get"]["responses"]["200"]
    document["components"]["responses"][answer["$ref"].rpartition("/")[2]]["content"] = {"*/*": {}}
    with rest(endpoint) as client:
        token = client.get(f"/sandboxes/{sandbox.sandbox_id}").json()["envdAccessToken"]
    return Target(
        name="envd",
        document=document,
        url=endpoint.sandbox_url,
        headers={"E2b-Sandbox-Id": sandbox.sandbox_id, "E2b-Sandbox-Port": "49983", "X-Access-Token": token},
    )


_TARGETS: dict[str, Callable[[Endpoint], Target]] = {
    "control-plane": control_plane,
    "accounts": accounts,
    "volumes": volumes,
    "envd": envd,
}


@contextmanager
def _engine() -> Iterator[Endpoint]:
    home = Path(tempfile.mkdtemp(prefix="nexus-fuzz-"))
    try:
        yield daemon.ensure_running(home, limits=LIMITS)
    finally:
        daemon.reset(home)
        shutil.rmtree(home, ignore_errors=True)


def _prepare(client: httpx.Client) -> dict[str, list[str]]:
    """Objects that are there, so that not every request ends with "not found"."""
    made = [client.post("/v2/sandboxes", json={"templateID": "base", "timeout": 3600}).json() for _ in range(6)]
    template = client.post("/v3/templates", json={"name": "fuzzed"}).json()
    volume = client.post("/volumes", json={"name": "fuzzed"}).json()
    secret = client.post("/secrets", json={"name": "fuzzed", "value": "v"}).json()
    return {
        "sandboxID": [sandbox["sandboxID"] for sandbox in made],
        "templateID": ["base", template["templateID"]],
        "buildID": [template["buildID"]],
        "volumeID": [volume["volumeID"]],
        "secretID": [str(secret["secretID"]), "fuzzed"],
    }


def _documented(name: str) -> dict[str, Any]:
    """E2B's document, with the answers that any operation may give."""
    document: dict[str, Any] = yaml.safe_load((DOCUMENTS / name).read_text(encoding="utf-8"))
    for item in document["paths"].values():
        for method, operation in item.items():
            if method in ("get", "post", "put", "patch", "delete"):
                for status in _ALWAYS_POSSIBLE:
                    operation["responses"].setdefault(status, copy.deepcopy(_ERROR))
    return document


def _add_second_forms(document: dict[str, Any]) -> None:
    """What the SDK calls and the document has only in its first form."""
    paths = document["paths"]
    paths["/v2/sandboxes"]["post"] = copy.deepcopy(paths["/sandboxes"]["post"])
    connect = copy.deepcopy(paths["/sandboxes/{sandboxID}/connect"])
    # Here the timeout has a default.
    known = document["components"]["schemas"]["ConnectSandbox"]["properties"]
    connect["post"]["requestBody"]["content"]["application/json"]["schema"] = {"type": "object", "properties": known}
    paths["/v2/sandboxes/{sandboxID}/connect"] = connect


def _open_with(document: dict[str, Any], credential: str) -> None:
    """Only ask for ``credential`` where it suffices: the fuzzer would make up the others, and be refused for that."""
    for item in document["paths"].values():
        for operation in item.values():
            if isinstance(operation, dict) and {credential: []} in operation.get("security", ()):
                operation["security"] = [{credential: []}]


def _takes_token(operation: dict[str, Any]) -> bool:
    return any("AccessTokenAuth" in option for option in operation.get("security", ()))


def _offer(schema: dict[str, Any], values: Sequence[str]) -> None:
    """Let the fuzzer choose among ``values`` besides what it makes up."""
    made_up = dict(schema)
    schema.clear()
    schema["anyOf"] = [{"type": "string", "enum": list(values)}, made_up]


def _access_token(endpoint: Endpoint) -> str:
    settings = load_settings(endpoint.home)
    assert settings is not None
    return settings.access_token


def _is_internal(item: dict[str, Any]) -> bool:
    return any(isinstance(operation, dict) and operation.get("x-internal") for operation in item.values())


def _run(target: Target, chosen: argparse.Namespace) -> int:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"{target.name}.yaml")
        path.write_text(yaml.safe_dump(target.document), encoding="utf-8")
        command = [sys.executable, "-m", "schemathesis.cli", "run", str(path), "--url", target.url]
        for name, value in target.headers.items():
            command += ["--header", f"{name}: {value}"]
        left_out = ",".join((_LEFT_OUT, *target.left_out))
        command += ["--checks", "all", "--exclude-checks", left_out, "--continue-on-failure", "--no-shrink"]
        command += ["--max-examples", str(chosen.examples), "--seed", str(chosen.seed), "--request-timeout", "60"]
        command += ["--suppress-health-check", "all"]
        if chosen.seconds:
            command += ["--max-time", str(chosen.seconds)]
        if chosen.report:
            chosen.report.mkdir(parents=True, exist_ok=True)
            command += ["--report", "ndjson", "--report-ndjson-path", str(chosen.report / f"{target.name}.ndjson")]
        return subprocess.run(command, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
