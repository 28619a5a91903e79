"""Promotions: the build of another environment, or a refusal that says what differs. Nothing is ever built."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from nexus.model.changes import Effect, Plan, PlanOptions
from nexus.model.state import Target
from nexus.model.values import Fingerprint, Sensitive, fingerprinter
from nexus.planning import (
    Origin,
    Planned,
    SavedPlan,
    difference,
    format_saved,
    make_plan,
    origins_named,
    parse_saved,
    references,
)
from nexus.planning.request import PlanRequest
from tests.fakes.applier import World, actions, causes

MANIFEST = """
templates:
  tools: {base_template: base, packages: {pip: [six]}, tags: [stable]}
  app: {base_template: "${{ template.tools }}", run_commands: [make]}
sandboxes: {web: {template: "${{ template.app }}"}}
"""


class Environment(World):
    """One environment of the project, with a state, and a key for its secrets, of its own."""

    def __init__(self, name: str) -> None:
        super().__init__(fingerprint=fingerprinter(name.encode()))
        self.name = name

    def ask(self, manifest: str, *origins: Environment, **options: Any) -> PlanRequest:
        request = replace(self.request(manifest, **options), environment=self.name)
        request = replace(request, origins={item.name: item.as_origin() for item in origins})
        builds = set(references(request)) & {name for item in (self, *origins) for name in item.builds()}
        return replace(request, origins={name: replace(item, builds=builds) for name, item in request.origins.items()})

    def make(self, manifest: str, *origins: Environment, **options: object) -> Plan:
        planned = make_plan(self.ask(manifest, *origins, **options))
        assert messages(planned) == []
        self.perform(planned, planned.plan.operations)
        return planned.plan

    def as_origin(self) -> Origin:
        return Origin(name=self.name, environment=self.name, state=self.state)

    def builds(self) -> set[str]:
        """All that were ever made: a build stays when another one takes its place."""
        self.made = getattr(self, "made", set()) | {
            str(record.attributes["reference"])
            for record in self.state.resources.values()
            if record.address.kind == "template"
        }
        return self.made


def messages(planned: Planned) -> list[str]:
    return [item.code for item in planned.plan.diagnostics if item.severity == "error"]


def environments() -> tuple[Environment, Environment]:
    dev, prod = Environment("dev"), Environment("prod")
    dev.make(MANIFEST)
    return dev, prod


def taken(plan: Plan) -> dict[str, str]:
    """What each template is made of, by what operations say."""
    return {str(item.address): item.unit for item in plan.operations if item.verb in ("create", "build")}


def test_templates_get_the_builds_of_the_other_environment_and_nothing_else_is_touched() -> None:
    dev, prod = environments()
    plan = prod.make(MANIFEST, dev, promote_from="dev")
    assert actions(plan) == {"template.tools": "create", "template.app": "create"}
    assert set(causes(plan).values()) == {"promoted from dev"}
    assert taken(plan) == {
        f"template.{name}": str(dev.record(f"template.{name}").attributes["reference"]) for name in ("tools", "app")
    }
    assert str(prod.record("template.app").attributes["reference"]).startswith("demo--prod--app:spec-")
    after = prod.make(MANIFEST)
    assert not any(address.startswith("template") for address in actions(after))
    assert actions(after)["sandbox.web"] == "create"


def test_a_named_template_brings_those_that_it_builds_on() -> None:
    dev, prod = environments()
    assert set(taken(prod.make(MANIFEST, dev, promote_from="dev", targets=_at("template.tools")))) == {"template.tools"}
    assert set(taken(prod.make(MANIFEST, dev, promote_from="dev", targets=_at("template.app")))) == {"template.app"}
    other = Environment("other")
    assert len(taken(other.make(MANIFEST, dev, promote_from="dev", targets=_at("template.app")))) == 2


def test_the_next_build_is_an_update_in_place_and_tags_move_to_it() -> None:
    dev, prod = environments()
    prod.make(MANIFEST, dev, promote_from="dev")
    newer = MANIFEST.replace("six", "attrs")
    dev.make(newer)
    plan = prod.make(newer, dev, promote_from="dev")
    assert actions(plan) == {"template.tools": "update", "template.app": "update"}
    assert {diff.effect for change in plan.changes for diff in change.fields} == {Effect.IN_PLACE}
    assert [item.verb for item in plan.operations if str(item.address) == "template.tools"] == ["build", "set-tags"]
    assert prod.make(newer, dev, promote_from="dev").is_empty


def test_what_is_there_from_before_comes_from_nowhere() -> None:
    dev, prod = environments()
    prod.make(MANIFEST, dev, promote_from="dev")
    newer = MANIFEST.replace("six", "attrs")
    dev.make(newer)
    prod.make(newer, dev, promote_from="dev")
    prod.builds()
    plan = prod.make(MANIFEST, dev, promote_from="dev")
    assert set(causes(plan).values()) == {"its build is there from before"}
    assert set(taken(plan).values()) == {""}


def test_an_older_build_of_the_origin_is_as_good_as_its_newest() -> None:
    dev, prod = environments()
    dev.builds()
    dev.make(MANIFEST.replace("six", "attrs"))
    plan = prod.make(MANIFEST, dev, promote_from="dev")
    assert set(causes(plan).values()) == {"promoted from dev"}


def test_another_build_is_refused_and_the_inputs_that_differ_are_named() -> None:
    dev, prod = environments()
    planned = make_plan(prod.ask(MANIFEST.replace("six", "attrs"), dev, promote_from="dev"))
    assert messages(planned) == ["promotion-differs"] * 2
    first, second = planned.plan.diagnostics
    assert "asks for" not in first.detail
    assert "packages" in first.detail
    assert "base_template" in second.detail
    assert (first.address, first.range is not None) == ("template.tools", True)


def test_what_was_never_built_and_what_is_gone_are_told_apart() -> None:
    dev, prod = environments()
    empty = make_plan(prod.ask(MANIFEST, Environment("empty"), promote_from="empty"))
    assert messages(empty) == ["promotion-missing"] * 2
    assert "has not built" in empty.plan.diagnostics[0].detail
    request = prod.ask(MANIFEST, dev, promote_from="dev")
    gone = make_plan(replace(request, origins={"dev": dev.as_origin()}))
    assert messages(gone) == ["promotion-missing"] * 2
    assert "not in this account" in gone.plan.diagnostics[0].detail


def test_secrets_of_the_variables_are_no_difference() -> None:
    manifest = "secrets: {token: {env: TOKEN}}\ntemplates: {x: {env_vars: {TOKEN: '${{ secrets.token }}'}}}"
    dev, prod = Environment("dev"), Environment("prod")
    dev.secrets, prod.secrets = {"token": Sensitive("one")}, {"token": Sensitive("two")}
    dev.make(manifest)
    plan = prod.make(manifest, dev, promote_from="dev")
    assert set(taken(plan)) == {"template.x"}
    variables = prod.record("template.x").attributes["env_vars"]
    assert isinstance(variables, dict)
    assert isinstance(variables["TOKEN"], Fingerprint)


def test_only_templates_are_promoted_and_none_is_removed() -> None:
    dev, prod = environments()
    prod.make(MANIFEST, dev, promote_from="dev")
    planned = make_plan(prod.ask(MANIFEST, dev, promote_from="dev", targets=_at("sandbox.web")))
    assert messages(planned) == ["not-promotable"]
    nowhere = make_plan(prod.ask(MANIFEST, dev, promote_from="dev", targets=_at("template.nowhere")))
    assert nowhere.plan.diagnostics[0].summary.startswith("promote names template.nowhere")
    without = "templates: {tools: {base_template: base, packages: {pip: [six]}, tags: [stable]}}"
    assert prod.make(without, dev, promote_from="dev").is_empty


def test_instances_are_promoted_one_by_one() -> None:
    manifest = 'templates: {x: {for_each: [a, b], run_commands: ["echo ${{ each.key }}"]}}'
    dev, prod = Environment("dev"), Environment("prod")
    dev.make(manifest)
    plan = prod.make(manifest, dev, promote_from="dev", targets=_at('template.x["a"]'))
    assert list(taken(plan)) == ['template.x["a"]']
    assert list(taken(prod.make(manifest, dev, promote_from="dev"))) == ['template.x["b"]']


def test_a_build_that_is_made_of_what_one_environment_has_is_not_promoted() -> None:
    manifest = "volumes: {data: {}}\ntemplates: {x: {run_commands: ['echo ${{ volume.data.name }}']}}"
    dev, prod = Environment("dev"), Environment("prod")
    dev.make(manifest)
    planned = make_plan(prod.ask(manifest, dev, promote_from="dev"))
    assert messages(planned) == ["promotion-differs"]
    assert "only prod has: run_commands" in planned.plan.diagnostics[0].detail
    stacked = f"{manifest[:-1]}, y: {{base_template: '${{{{ template.x }}}}'}}}}"
    dev.make(stacked)
    prod.make(stacked)
    newer = f"{stacked[:-2]}, run_commands: [make]}}}}"
    dev.make(newer)
    planned = make_plan(prod.ask(newer, dev, promote_from="dev"))
    assert messages(planned) == ["promotion-differs"]
    assert "only prod has: template.x" in planned.plan.diagnostics[0].detail
    unknown = manifest.replace("volume.data.name", "volume.data.id")
    dev.make(unknown)
    planned = make_plan(Environment("other").ask(unknown, dev, promote_from="dev"))
    assert messages(planned) == ["promotion-differs"]
    assert "only the apply will tell" in planned.plan.diagnostics[0].detail


def test_environments_in_two_accounts_have_no_builds_for_each_other() -> None:
    dev, prod = environments()
    request = prod.ask(MANIFEST, dev, promote_from="dev")
    elsewhere = make_plan(replace(request, target=Target("e2b"), origins={"dev": dev.as_origin()}))
    assert messages(elsewhere) == ["promotion-elsewhere"] * 2
    assert "dev lives on local, prod on e2b" in elsewhere.plan.diagnostics[0].detail


# ---- where the block says so


DECLARED = MANIFEST.replace("tags: [stable]", "tags: [stable], promoted_from: dev")


def test_a_block_says_where_its_builds_come_from_and_builds_there() -> None:
    dev, prod = Environment("dev"), Environment("prod")
    assert (list(origins_named(dev.ask(DECLARED))), list(origins_named(prod.ask(DECLARED)))) == ([], ["dev"])
    refused = make_plan(prod.ask(DECLARED, dev))
    assert messages(refused) == ["promotion-missing"]
    dev.make(DECLARED)
    plan = prod.make(DECLARED, dev)
    assert causes(plan)["template.tools"] == "promoted from dev"
    assert taken(plan)["template.tools"] == dev.record("template.tools").attributes["reference"]
    assert taken(plan)["template.app"] == ""
    assert not origins_named(prod.ask(DECLARED, destroy=True))
    assert make_plan(prod.ask(MANIFEST)).plan.summary == {"update": 1}  # the field itself is only remembered


def test_a_promotion_is_saved_and_compared_like_any_plan() -> None:
    dev, prod = environments()
    plan = make_plan(prod.ask(MANIFEST, dev, promote_from="dev")).plan
    saved = parse_saved(format_saved(plan), "plan")
    assert saved.options.promote_from == "dev"
    assert difference(saved, plan) == []
    apply = make_plan(prod.ask(MANIFEST, targets=_at("template.app"))).plan
    assert difference(SavedPlan(apply), plan)
    with pytest.raises(ValueError, match="nothing else"):
        PlanOptions(promote_from="dev", destroy=True)


def _at(text: str) -> tuple[object, ...]:
    from nexus.model.addresses import Address

    return (Address.parse(text),)
