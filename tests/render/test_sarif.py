"""SARIF: what code scanning reads."""

from __future__ import annotations

from pathlib import PurePosixPath

from nexus.model.diagnostics import SourcePos, SourceRange, error, warning
from nexus.render.sarif import sarif

PLACE = SourceRange("parts/my file.yaml", SourcePos(3, 5), SourcePos(3, 9))
WRONG = error("unknown-field", "Unknown field «tmplate»", hint="did you mean template?", range=PLACE)
ODD = warning("include-empty", "Nothing matches", address="sandbox.web")


def test_a_finding_has_its_rule_its_level_and_its_place() -> None:
    [run] = sarif([WRONG, ODD], PurePosixPath("infra"))["runs"]
    rules = run["tool"]["driver"]["rules"]
    first, second = run["results"]
    assert [rules[result["ruleIndex"]]["id"] for result in (first, second)] == [WRONG.code, ODD.code]
    assert (first["level"], second["level"]) == ("error", "warning")
    assert first["message"]["text"] == "Unknown field «tmplate».\ndid you mean template?"
    [location] = first["locations"]
    assert location["physicalLocation"] == {
        "artifactLocation": {"uri": "infra/parts/my%20file.yaml"},
        "region": {"startLine": 3, "startColumn": 5, "endLine": 3, "endColumn": 9},
    }


def test_what_has_no_place_is_shown_at_the_manifest_with_its_address() -> None:
    [run] = sarif([ODD], PurePosixPath())["runs"]
    [location] = run["results"][0]["locations"]
    assert location["physicalLocation"]["artifactLocation"]["uri"] == "nexus.yaml"
    assert location["logicalLocations"] == [{"fullyQualifiedName": "sandbox.web", "kind": "resource"}]


def test_rules_carry_their_pages_and_no_finding_is_a_run_without_results() -> None:
    [run] = sarif([WRONG], PurePosixPath())["runs"]
    [rule] = run["tool"]["driver"]["rules"]
    assert "```" in rule["help"]["markdown"]
    [empty] = sarif([], PurePosixPath())["runs"]
    assert empty["results"] == []
