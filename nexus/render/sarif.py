"""Diagnostics as SARIF 2.1.0, which code scanning shows at the lines of a pull request."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Final
from urllib.parse import quote

import nexus
from nexus.model.diagnostics import Diagnostic, Severity, SourceRange
from nexus.render.documents import Json
from nexus.render.explanations import Explanation, explanations

_SCHEMA: Final = "https://json.schemastore.org/sarif-2.1.0.json"
_PROJECT_FILE: Final = "nexus.yaml"
"""Where a finding without a place is shown: readers drop those without a location."""


def sarif(diagnostics: Sequence[Diagnostic], folder: PurePosixPath) -> Json:
    """One run of nexus and what it found. Places are relative to ``folder``, which is relative to the repository."""
    codes = sorted({item.code for item in diagnostics})
    pages = {page.code: page for page in explanations()}
    driver: Json = {
        "name": "nexus",
        "semanticVersion": nexus.__version__,
        "rules": [_rule(code, pages.get(code)) for code in codes],
    }
    run: Json = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "results": [_result(item, codes.index(item.code), folder) for item in diagnostics],
    }
    return {"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}


def _rule(code: str, page: Explanation | None) -> Json:
    rule: Json = {"id": code}
    if page is not None:
        text = page.text.strip()
        rule |= {
            "shortDescription": {"text": page.first_sentence},
            "help": {"text": text, "markdown": text},
        }
    return rule


def _result(item: Diagnostic, rule_index: int, folder: PurePosixPath) -> Json:
    location: Json = {"physicalLocation": _place(item.range, folder)}
    if item.address:
        location["logicalLocations"] = [{"fullyQualifiedName": item.address, "kind": "resource"}]
    return {
        "ruleId": item.code,
        "ruleIndex": rule_index,
        "level": "error" if item.severity is Severity.ERROR else "warning",
        "message": {"text": "\n".join(filter(None, (_sentence(item.summary), item.detail, item.hint)))},
        "locations": [location],
    }


def _place(place: SourceRange | None, folder: PurePosixPath) -> Json:
    if place is None:
        return {"artifactLocation": {"uri": _uri(folder / _PROJECT_FILE)}, "region": {"startLine": 1}}
    return {
        "artifactLocation": {"uri": _uri(folder / place.file)},
        "region": {
            "startLine": place.start.line,
            "startColumn": place.start.column,
            "endLine": place.end.line,
            "endColumn": place.end.column,
        },
    }


def _uri(path: PurePosixPath) -> str:
    return quote(str(path))


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."
