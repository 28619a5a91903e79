"""E2B's OpenAPI documents as tests use them: their operations, requests made from schemas, and checks of answers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import yaml

DOCUMENTS = Path(__file__).parent / "spec"
METHODS = ("get", "post", "put", "patch", "delete")
# What the server answers although the document does not list it for every operation.
ALWAYS_POSSIBLE = frozenset({400, 401, 403, 404, 409, 413, 422, 429})

Schema = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path. ``security`` lists the credentials that open it, any one of the sets."""

    method: str
    path: str
    item: Mapping[str, Any]
    responses: Mapping[str, Any]
    body: Schema | None
    security: tuple[frozenset[str], ...]

    @property
    def name(self) -> str:
        return f"{self.method.upper()} {self.path}"


class Document:
    """One document with its references followed."""

    def __init__(self, name: str) -> None:
        self._root: Schema = yaml.safe_load((DOCUMENTS / name).read_text(encoding="utf-8"))
        self._components = {"components": _as_json_schema(self._root["components"])}

    def operations(self) -> Iterator[Operation]:
        for path, item in self._root["paths"].items():
            for method in METHODS:
                if (operation := item.get(method)) is not None:
                    body = operation.get("requestBody", {}).get("content", {}).get("application/json")
                    yield Operation(
                        method,
                        path,
                        operation,
                        operation["responses"],
                        None if body is None else body["schema"],
                        tuple(frozenset(option) for option in operation.get("security", ())),
                    )

    def check(self, operation: Operation, answer: httpx.Response) -> None:
        """The status is one that may be, and the body is what the document says of it."""
        said = f"{operation.name}: {answer.status_code} {answer.text[:300]}"
        documented = {int(status) for status in operation.responses if status.isdecimal()}
        assert answer.status_code < 500, said
        assert answer.status_code in documented | ALWAYS_POSSIBLE, said
        schema = self._schema_of(operation, answer.status_code)
        if schema is None:
            assert answer.content == b"", said
            return
        assert answer.headers["content-type"].startswith("application/json"), said
        jsonschema.validate(answer.json(), {**_as_json_schema(schema), **self._components})
        if answer.status_code >= 400:
            assert answer.json()["code"] == answer.status_code, said

    def example(self, schema: Schema) -> object:
        """The smallest value that the schema allows."""
        schema = self._followed(schema)
        if "enum" in schema:
            return schema["enum"][0]
        if "allOf" in schema:
            return self.example(schema["allOf"][0])
        match schema.get("type", "object"):
            case "object":
                return {key: self.example(schema["properties"][key]) for key in schema.get("required", ())}
            case "array":
                return [self.example(schema["items"]) for _ in range(schema.get("minItems", 0))]
            case "string":
                return "x" * max(1, schema.get("minLength", 1))
            case "integer" | "number":
                return schema.get("minimum", 1)
            case "boolean":
                return True
            case other:
                raise AssertionError(f"unexpected type {other}")

    def spoiled(self, schema: Schema) -> Iterator[object]:
        """Values that the schema does not allow."""
        yield from ([], "text", 5)
        whole = self._followed(schema)
        example = self.example(schema)
        assert isinstance(example, dict)
        for key in whole.get("required", ()):
            yield {name: value for name, value in example.items() if name != key}
        for key, part in whole.get("properties", {}).items():
            kind = self._followed(part).get("type")
            if kind is not None and not self._followed(part).get("nullable"):
                yield {**example, key: 5 if kind != "integer" else "5"}
                yield {**example, key: None}

    def _schema_of(self, operation: Operation, status: int) -> Schema | None:
        response = operation.responses.get(str(status))
        if response is None:
            return {"$ref": "#/components/schemas/Error"}
        content = self._followed(response).get("content")
        return None if content is None else content["application/json"]["schema"]

    def _followed(self, schema: Schema) -> Schema:
        while "$ref" in schema:
            found: Any = self._root
            for part in schema["$ref"].removeprefix("#/").split("/"):
                found = found[part]
            schema = found
        return schema


def _as_json_schema(value: Any) -> Any:
    """OpenAPI 3.0 says ``nullable`` where JSON Schema has a type of null."""
    if isinstance(value, list):
        return [_as_json_schema(item) for item in value]
    if not isinstance(value, dict):
        return value
    converted = {key: _as_json_schema(item) for key, item in value.items()}
    if converted.pop("nullable", None) is True:
        return {"anyOf": [converted, {"type": "null"}]}
    return converted
