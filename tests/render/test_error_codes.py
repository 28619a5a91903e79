"""Published codes, in texts and in documents alike."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from nexus.model.diagnostics import DiagnosticsError, error, warning
from nexus.model.error_codes import PUBLISHED, ErrorCode
from nexus.render.diagnostics import diagnostic_text
from nexus.render.documents import failure_to_json

SCHEMA = json.loads((Path(__file__).parents[2] / "schemas" / "failure.schema.json").read_text())
NO_KEY = error("no-api-key", "There is no key", hint="set one")
GONE = error("sandbox-not-found", "It is gone", hint="make it again")
OWN = error("unknown-field", "There is no such field")


def test_every_published_code_stands_for_something() -> None:
    assert set(PUBLISHED.values()) == set(ErrorCode)


def test_a_failure_has_the_code_of_its_first_error_that_has_one() -> None:
    document = failure_to_json([warning("rate-limited", "Slowly"), OWN, GONE, NO_KEY])
    jsonschema.validate(json.loads(json.dumps(document)), SCHEMA)
    assert document["code"] == "SANDBOX_NOT_FOUND"
    assert [item["error_code"] for item in document["diagnostics"]] == [
        "QUOTA_EXCEEDED",
        None,
        "SANDBOX_NOT_FOUND",
        "PERMISSION_DENIED",
    ]
    assert failure_to_json([OWN])["code"] is None
    assert DiagnosticsError([OWN, NO_KEY]).error_code is ErrorCode.PERMISSION_DENIED


@pytest.mark.parametrize(
    ("diagnostic", "head"),
    [
        (NO_KEY, "error[no-api-key]: There is no key (PERMISSION_DENIED)"),
        (GONE, "error[sandbox-not-found]: It is gone"),
        (OWN, "error[unknown-field]: There is no such field"),
    ],
    ids=lambda value: getattr(value, "code", ""),
)
def test_a_text_names_the_published_code_where_ours_is_another(diagnostic, head: str) -> None:
    assert diagnostic_text(diagnostic, lambda _: None).plain.splitlines()[0] == head
