"""Which requests a rule strikes, and what a document of rules may say."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from nexus.local.faults.documents import FaultsError, parse_faults, shown_faults
from nexus.local.faults.model import Action, FaultScript, Surface

SCHEMA = json.loads((Path(__file__).parents[3] / "schemas" / "faults.schema.json").read_text(encoding="utf-8"))


def script(*rules: dict[str, object], seed: int | None = None) -> FaultScript:
    made = FaultScript()
    made.replace(parse_faults({"rules": list(rules), "seed": seed}))
    return made


def struck(made: FaultScript, requests: int, path: str = "/v2/sandboxes") -> list[int]:
    """The numbers of the requests that were struck."""
    return [number for number in range(1, requests + 1) if made.strike(Surface.API, "POST", path)]


def test_a_rule_strikes_the_first_request_unless_it_says_otherwise() -> None:
    drop = {"action": "drop"}
    assert struck(script(drop), 4) == [1]
    assert struck(script(drop | {"nth": 3}), 4) == [3]
    assert struck(script(drop | {"nth": [2, 4]}), 5) == [2, 4]
    assert struck(script(drop | {"nth": None}), 3) == [1, 2, 3]
    assert struck(script(drop | {"every": 2}), 5) == [2, 4]
    assert struck(script(drop | {"every": 2, "times": 1}), 9) == [2]


def test_only_matching_requests_count() -> None:
    made = script({"action": "drop", "method": "post", "path": "^/v2/sandboxes$"})
    assert made.strike(Surface.API, "GET", "/v2/sandboxes") is None
    assert made.strike(Surface.API, "POST", "/v2/sandboxes/x/connect") is None
    assert made.strike(Surface.SANDBOX, "POST", "/v2/sandboxes") is None
    assert made.strike(Surface.API, "POST", "/v2/sandboxes") is not None
    envd = script({"on": "sandbox", "port": 49983, "action": "reset", "nth": None})
    assert envd.strike(Surface.SANDBOX, "GET", "/", 8000) is None
    assert envd.strike(Surface.SANDBOX, "GET", "/", 49983) is not None


def test_chance_is_the_same_with_the_same_seed_and_other_rules_do_not_change_it() -> None:
    often = {"action": "status", "probability": 0.3}
    first, again = struck(script(often, seed=7), 200), struck(script(often, seed=7), 200)
    assert first == again
    assert 30 < len(first) < 90
    assert first != struck(script(often, seed=8), 200)
    beside = script(often, {"action": "drop", "path": "^/other"}, seed=7)
    assert [number for number in range(1, 201) if beside.strike(Surface.API, "POST", "/x")] == first


def test_first_of_several_rules_strikes_and_all_count() -> None:
    made = script({"action": "drop", "nth": 2}, {"action": "status", "nth": [1, 2, 3]})
    actions = [rule.action for _ in range(3) if (rule := made.strike(Surface.API, "GET", "/"))]
    assert actions == [Action.STATUS, Action.DROP, Action.STATUS]
    assert [(count.matched, count.struck) for count in made.counts()] == [(3, 1), (3, 2)]


def test_what_is_shown_can_be_set_again() -> None:
    rules = [
        {"on": "sandbox", "port": 8000, "action": "reset", "probability": 0.5, "times": 3},
        {"action": "status", "status": 503, "message": "no", "headers": {"Retry-After": "1"}, "ms": 5, "nth": [1, 2]},
    ]
    shown = shown_faults(script(*rules, seed=4))
    stripped = [
        {key: value for key, value in rule.items() if key not in ("matched", "struck")}
        for rule in shown["rules"]  # type: ignore[attr-defined]
    ]
    assert parse_faults({"rules": stripped, "seed": shown["seed"]}) == parse_faults({"rules": rules, "seed": 4})


@pytest.mark.parametrize(
    "document",
    [
        [],
        {"rules": []},
        [{"action": "drop"}],
        [{"action": "status", "status": 429, "headers": {"Retry-After": "1"}, "nth": None}],
        {"seed": 3, "rules": [{"on": "sandbox", "port": 1, "action": "vanish", "ms": 10, "every": 2, "times": 9}]},
        [{"action": "expire", "method": "DELETE", "path": "^/sandboxes/", "probability": 1}],
        [{"action": "drop", "nth": None, "every": 2}],
    ],
)
def test_documents_that_are_fine(document: object) -> None:
    jsonschema.validate(document, SCHEMA)
    parse_faults(document)


@pytest.mark.parametrize(
    ("document", "where", "words"),
    [
        ("drop", "", "a list of rules"),
        ({"seed": 1}, "rules", "a list"),
        ({"rules": [], "more": 1}, "more", "unknown"),
        ({"rules": [], "seed": "x"}, "seed", "whole number"),
        (["drop"], "[0]", "an object"),
        ([{}], "[0].action", "status, delay"),
        ([{"action": "explode"}], "[0].action", "status, delay"),
        ([{"action": "drop", "on": "edge"}], "[0].on", "api, sandbox"),
        ([{"action": "drop", "method": "FETCH"}], "[0].method", "HTTP method"),
        ([{"action": "drop", "path": "("}], "[0].path", "regular expression"),
        ([{"action": "drop", "nth": 0}], "[0].nth", "from 1"),
        ([{"action": "drop", "nth": []}], "[0].nth", "from 1"),
        ([{"action": "drop", "nth": True}], "[0].nth", "from 1"),
        ([{"action": "drop", "nth": 1, "every": 2}], "[0].every", "cannot be combined with nth"),
        ([{"action": "drop", "probability": 1.5}], "[0].probability", "at most 1"),
        ([{"action": "drop", "times": 0}], "[0].times", "between 1"),
        ([{"action": "status", "status": 200}], "[0].status", "between 400 and 599"),
        ([{"action": "delay", "ms": -1}], "[0].ms", "between 0"),
        ([{"action": "drop", "port": 80}], "[0].port", "on: sandbox"),
        ([{"action": "drop", "nht": 1}], "[0].nht", "unknown"),
        ({"rules": [{"action": "drop"}, {"action": "drop", "headers": [1]}]}, "rules[1].headers", "an object"),
        ({"rules": [{"action": "status", "headers": {"a b": "c"}}]}, "rules[0].headers", "not a header"),
    ],
)
def test_mistakes_are_told_with_their_place(document: object, where: str, words: str) -> None:
    with pytest.raises(FaultsError) as caught:
        parse_faults(document)
    assert str(caught.value).startswith(f"{where}: " if where else "")
    assert words in str(caught.value)
    if words not in ("regular expression", "not a header"):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(document, SCHEMA)
