"""What a plan opens: what is closed now, or not there, and open afterwards."""

from __future__ import annotations

from dataclasses import replace

import pytest

from nexus.model.changes import Opens
from nexus.model.values import Sensitive
from nexus.render.documents import plan_to_json
from nexus.render.openings import bundled
from tests.policy.plans import Place

CLOSED = "network: {internet: false}"


def opened(place: Place, before: str, after: str) -> list[str]:
    """``internet web``, ``port web: api (8000) has a URL``."""
    place.world.secrets = {"token": Sensitive("hunter2")}
    secrets = "secrets: {token: {env: T}}\n"
    if before:
        place.world.apply(secrets + before)
    plan = place.plan(secrets + after, secrets=place.world.secrets)
    return [f"{item.opens} {item.address.name}: {item.detail}" for item in plan.openings]


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (CLOSED, "network: {internet: true}", ["internet web: everything outside may be reached"]),
        ("network: {internet: true}", CLOSED, []),
        (CLOSED, "network: {internet: false, allow: [pypi.org]}", ["egress web: may be reached: pypi.org"]),
        (
            "network: {internet: false, allow: [pypi.org]}",
            "network: {internet: false, allow: [10.0.0.0/8, npmjs.com]}",
            ["egress web: may be reached: 10.0.0.0/8, npmjs.com"],
        ),
        ("network: {deny: [10.0.0.0/8]}", "{}", ["egress web: not denied any more: 10.0.0.0/8"]),
        ("network: {deny: [10.0.0.0/8]}", "network: {deny: [10.0.0.0/8, 10.1.0.0/16]}", []),
        ("ports: {api: 8000}", "ports: {api: 8000, debug: 5678}", ["port web: debug (5678) has a URL"]),
        ("ports: {api: 8000}", "ports: {web: 8000}", []),
        ("timeout: 30m", "timeout: 1h", ["time web: lives for 1h instead of 30m"]),
        ("timeout: 1h", "timeout: 30m", []),
        (
            "env_vars: {A: x}",
            "env_vars: {A: '${{ secrets.token }}'}",
            ['secret web: a secret in env_vars["A"]'],
        ),
        ("env_vars: {A: '${{ secrets.token }}'}", "env_vars: {A: '${{ secrets.token }}', B: x}", []),
        ("run_commands: [ls]", "run_commands: ['echo ${{ secrets.token }}']", ["secret web: a secret in run_commands"]),
    ],
)
def test_a_change_opens_what_was_closed(place: Place, before: str, after: str, expected: list[str]) -> None:
    def block(fields: str) -> str:
        return "sandboxes: {web: " + (fields if fields.startswith("{") else f"{{{fields}}}") + "}\n"

    assert opened(place, block(before), block(after)) == expected


def test_what_is_new_opens_all_that_is_open_in_it(place: Place) -> None:
    text = (
        "sandboxes:\n  web: {ports: {api: 8000}, env_vars: {T: '${{ secrets.token }}'}}\n"
        "  shut: {network: {internet: false}}\n"
    )
    assert opened(place, "", text) == [
        "internet web: everything outside may be reached",
        "port web: api (8000) has a URL",
        'secret web: a secret in env_vars["T"]',
    ]


def test_templates_and_steps_are_looked_at_too(place: Place) -> None:
    text = "templates: {t: {public: true}}\npipelines: {p: {steps: {s: {sandbox: {template: base}, run: ls}}}}\n"
    assert opened(place, "", text) == [
        "template t: other accounts may use it",
        "internet p.s: everything outside may be reached",
    ]


def test_what_is_deleted_and_what_stays_opens_nothing(place: Place) -> None:
    before = "sandboxes: {web: {ports: {api: 8000}}, box: {}}\n"
    assert opened(place, before, "sandboxes: {box: {}}\n") == []


def test_a_leftover_that_is_deleted_besides_opens_nothing_a_second_time(place: Place) -> None:
    world = place.world
    world.apply("sandboxes: {web: {network: {internet: false}}}")
    former = replace(world.record("sandbox.web"), uid="former", id="other")
    world.state = replace(world.state, deposed=(former,))
    plan = place.plan("sandboxes: {web: {}}\npolicies: {shut: {use: no-opening}}\n")
    assert [str(change.action) for change in plan.changes] == ["update", "delete"]
    assert [item.opens for item in plan.openings] == [Opens.INTERNET]
    (denied,) = plan.diagnostics
    assert "too." not in denied.detail


def test_the_same_for_many_is_one_line_and_every_one_of_them_in_json(place: Place) -> None:
    plan = place.plan("sandboxes: {box: {count: 9}}\n")
    (line,) = bundled(plan.openings)
    assert line.named == "sandbox.box[0…8]"
    opens = plan_to_json(plan)["opens"]
    assert isinstance(opens, list)
    assert len(opens) == 9
