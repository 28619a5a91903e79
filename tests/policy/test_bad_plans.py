"""A list of bad plans, each caught by a policy, in the words and at the place that say what to change."""

from __future__ import annotations

import pytest

from nexus.manifest import write_lock
from nexus.model.lockfile import Closure, LockedSet, Lockfile
from tests.policy.plans import Place, told

# Lines are counted with the two of the head: what follows begins on line 3.
BAD = [
    pytest.param(
        "sandboxes:\n  web: {timeout: 1h}\npolicies:\n  closed: {use: no-internet}\n",
        ["denied sandbox.web 4:3 The internet is on"],
        id="the internet is on by default",
    ),
    pytest.param(
        "sandboxes:\n  web:\n    network: {internet: true}\npolicies:\n  closed: {use: no-internet}\n",
        ["denied sandbox.web 5:25 The internet is on"],
        id="the internet is on as written",
    ),
    pytest.param(
        "sandboxes:\n  web:\n    network: {internet: false, allow: [pypi.org, evil.example]}\n"
        "policies:\n  closed: {use: no-internet, allow: [pypi.org]}\n",
        ["denied sandbox.web 5:32 Destinations are allowed that the policy does not know: evil.example"],
        id="a destination that is not approved",
    ),
    pytest.param(
        "pipelines:\n  etl:\n    steps:\n      get:\n        sandbox: {template: python}\n        run: 'true'\n"
        "policies:\n  closed: {use: no-internet}\n",
        ["denied step.etl.get 7:9 The internet is on"],
        id="the internet in the sandbox of a step",
    ),
    pytest.param(
        "sandboxes:\n  web: {}\npolicies:\n  ttl: {use: time-to-live}\n",
        ["denied sandbox.web 4:3 No time to live is said"],
        id="no time to live",
    ),
    pytest.param(
        "sandboxes:\n  web:\n    timeout: 2h\npolicies:\n  ttl: {use: time-to-live, maximum: 90m}\n",
        ["denied sandbox.web 5:14 It lives for 7200 seconds, and the policy allows 5400"],
        id="too long a life",
    ),
    pytest.param(
        "sandboxes:\n  web:\n    template: python\n    packages: [httpx, rich==13.9.4, 'uvicorn[standard]>=0.30']\n"
        "policies:\n  pins: {use: pinned-packages}\n",
        ["denied sandbox.web 6:5 Packages of pip are not pinned: httpx, uvicorn[standard]>=0.30"],
        id="packages of pip that are not pinned",
    ),
    pytest.param(
        "templates:\n  tools:\n    packages:\n      npm: [typescript, '@types/node@22.1.0', 'vite@^6.0.0']\n"
        "      apt: [jq, git=1:2.43.0-1]\npolicies:\n  pins: {use: pinned-packages}\n",
        [
            "denied template.tools 6:7 Packages of npm are not pinned: typescript, vite@^6.0.0",
            "denied template.tools 7:7 Packages of apt are not pinned: jq",
        ],
        id="packages of a template that are not pinned",
    ),
    pytest.param(
        "sandboxes:\n  web:\n    metadata: {team: data}\npolicies:\n"
        "  tags: {use: required-tags, keys: [team, cost-center]}\n",
        ["denied sandbox.web 5:5 The metadata lacks cost-center"],
        id="a tag that is missing",
    ),
    pytest.param(
        "sandboxes:\n  web: {count: 10}\npolicies:\n  budget: {use: budget, monthly: 50}\n",
        ["denied 6:34 The plan comes to $854.10 a month, and the budget is $50.00"],
        id="more than the budget of a month",
    ),
    pytest.param(
        "sandboxes:\n  web: {timeout: 2h}\npolicies:\n  budget: {use: budget, until_end: 0.2, hourly: 1}\n",
        ["denied 6:36 The plan comes to $0.23 until timeout, and the budget is $0.20"],
        id="more than the budget of one life",
    ),
    pytest.param(
        "templates:\n  tools: {public: true}\npolicies:\n  shut: {use: no-opening}\n",
        ["denied template.tools 4:19 The change opens other accounts may use it"],
        id="something is opened",
    ),
    pytest.param(
        "sandboxes:\n  web:\n    timeout: 3h\npolicies:\n  own:\n    deny: ${{ self.timeout > 7200 }}\n"
        "    message: ${{ self.address }} lives for ${{ self.timeout / 3600 }} hours\n",
        ["denied sandbox.web 5:14 sandbox.web lives for 3 hours"],
        id="a rule of one's own about a sandbox",
    ),
    pytest.param(
        "templates:\n  tools:\n    cpu: 8\npolicies:\n  small:\n    for: template\n"
        "    deny: ${{ self.cpu != null && self.cpu > 4 }}\n    message: at most 4 CPUs\n",
        ["denied template.tools 5:10 at most 4 CPUs"],
        id="a rule of one's own about a template",
    ),
    pytest.param(
        "volumes:\n  data: {}\npolicies:\n  none:\n    for: volume\n    deny: true\n    message: no volumes\n",
        ["denied volume.data 4:3 no volumes"],
        id="a rule that is always broken",
    ),
    pytest.param(
        "sandboxes:\n  web: {}\npolicies:\n  slow:\n    for: change\n"
        "    deny: ${{ self.action == 'create' && self.kind == 'sandbox' }}\n    message: nothing new on Fridays\n",
        ["denied sandbox.web 4:3 nothing new on Fridays"],
        id="a rule of one's own about changes",
    ),
    pytest.param(
        "sandboxes:\n  web: {count: 3}\npolicies:\n  few:\n    for: plan\n    deny: ${{ self.sandboxes > 2 }}\n"
        "    message: ${{ self.sandboxes }} are too many\n",
        ["denied 8:11 3 are too many"],
        id="a rule of one's own about the plan",
    ),
    pytest.param(
        "sandboxes:\n  web: {metadata: {team: data}}\npolicies:\n  own:\n"
        "    warn: ${{ !has(self.metadata.owner) }}\n    message: nobody owns it\n",
        ["warning sandbox.web 4:9 nobody owns it"],
        id="a rule that only warns",
    ),
    pytest.param(
        "sandboxes:\n  web: {}\npolicies:\n  ttl: {use: time-to-live, level: warn}\n",
        ["warning sandbox.web 4:3 No time to live is said"],
        id="a shipped rule that only warns",
    ),
]


@pytest.mark.parametrize(("manifest", "expected"), BAD)
def test_a_bad_plan_is_caught(place: Place, manifest: str, expected: list[str]) -> None:
    plan = place.plan(manifest)
    assert told(plan) == expected
    assert plan.is_denied == any(line.startswith("denied") for line in expected)
    assert plan.operations, "what is denied can still be looked at"


GOOD = [
    "sandboxes:\n  web: {timeout: 30m, network: {internet: false}, template: python, packages: [httpx==0.27.2],\n"
    "        metadata: {team: data}}\n",
    "sandboxes:\n  web: {timeout: 1h, network: {internet: false, allow: [pypi.org]}, metadata: {team: data}}\n",
    "sandboxes: {}\n",
]


@pytest.mark.parametrize("manifest", GOOD)
def test_a_good_plan_passes_all_shipped_rules_at_once(place: Place, manifest: str) -> None:
    policies = """
policies:
  closed: {use: no-internet, allow: [pypi.org]}
  ttl: {use: time-to-live, maximum: 1h}
  pins: {use: pinned-packages}
  tags: {use: required-tags, keys: [team]}
  budget: {use: budget, hourly: 1, until_end: 1, monthly: 100}
  kept: {use: no-data-loss}
"""
    assert told(place.plan(manifest + policies)) == []


PINNED = {
    "pip": [
        "a==1",
        "a_b.c[x,y]==1.0.post1",
        "a===1",
        "a==1; python_version < '3.13'",
        f"a @ git+https://h/x@{'0' * 40}",
    ],
    "npm": ["a@1.2.3", "@s/a@1.2.3-rc.1", "a@v1.2.3"],
    "apt": ["jq=1.7", "git=1:2.43.0-1ubuntu7"],
}
LOOSE = {
    "pip": ["a", "a>=1", "a==1.*", "a~=1.0", "a==1,<2", "a @ git+https://h/x@main", "git+https://h/x"],
    "npm": ["a", "@s/a", "a@^1.2.3", "a@latest", "a@1.2", "a@1.x"],
    "apt": ["jq", "jq=1.*"],
}


@pytest.mark.parametrize(
    ("manager", "name", "is_loose"),
    [
        (manager, name, table is LOOSE)
        for table in (PINNED, LOOSE)
        for manager, names in table.items()
        for name in names
    ],
)
def test_what_counts_as_pinned(place: Place, manager: str, name: str, is_loose: bool) -> None:
    manifest = (
        f'templates:\n  t: {{packages: {{{manager}: ["{name}"]}}}}\npolicies: {{pins: {{use: pinned-packages}}}}\n'
    )
    assert place.plan(manifest).is_denied == is_loose


def test_what_the_lock_file_pins_is_pinned(place: Place) -> None:
    manifest = "sandboxes:\n  web: {packages: {apt: [jq]}}\npolicies: {pins: {use: pinned-packages}}\n"
    assert place.plan(manifest).is_denied
    locked = LockedSet(
        base="catalogue.base",
        requirements={"apt": ("jq",)},
        closures={"apt": Closure(added={"jq": "1.7-1"})},
        environments=("default",),
    )
    write_lock(place.folder, Lockfile(packages={"sandbox.web": (locked,)}))
    assert told(place.plan(manifest)) == []


def test_a_change_that_loses_data_is_denied_where_the_policy_says_so(place: Place) -> None:
    place.world.apply("volumes: {data: {}}")
    policy = "policies:\n  kept: {use: no-data-loss}\n"
    (line,) = told(place.plan(policy))
    assert line == "denied volume.data 4:3 Data would be deleted that nothing else holds"
    assert place.plan(policy, destroy=True).is_denied
    assert told(place.plan(policy.replace("no-data-loss}", "no-data-loss, except: [volume.data]}"))) == []


def test_a_plan_without_changes_is_denied_as_well(place: Place) -> None:
    manifest = "sandboxes: {web: {}}\n"
    place.world.apply(manifest)
    plan = place.plan(manifest + "policies: {closed: {use: no-internet}}\n")
    assert plan.is_empty
    assert plan.is_denied


def test_nothing_that_is_only_declared_stands_in_the_way_of_a_destroy(place: Place) -> None:
    manifest = "sandboxes: {web: {count: 3}}\n"
    place.world.apply(manifest)
    policies = "policies: {closed: {use: no-internet}, budget: {use: budget, monthly: 0}}\n"
    assert place.plan(manifest + policies).is_denied
    assert told(place.plan(manifest + policies, destroy=True)) == []


def test_what_only_takes_in_what_is_out_there_is_not_judged(place: Place) -> None:
    manifest = "sandboxes: {web: {}}\npolicies: {closed: {use: no-internet}, budget: {use: budget, monthly: 0}}\n"
    place.world.apply("sandboxes: {web: {}}")
    assert place.plan(manifest).is_denied
    assert told(place.plan(manifest, refresh_only=True, deep=True)) == []


def test_a_rule_may_let_through_what_only_brings_the_costs_down(place: Place) -> None:
    rule = """
policies:
  budget:
    for: plan
    deny: ${{ self.cost.month > 50 && self.cost.change.month > 0 }}
    message: ${{ format('$%.2f more a month', self.cost.change.month) }}
"""
    place.world.apply("sandboxes: {web: {count: 3}}")
    assert told(place.plan("sandboxes: {web: {count: 2}}" + rule)) == []
    (line,) = told(place.plan("sandboxes: {web: {count: 4}}" + rule))
    assert line.endswith("$85.41 more a month")
