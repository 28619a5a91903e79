"""How rules are written: environments, exemptions, parameters from variables, and mistakes with their places."""

from __future__ import annotations

import pytest

from nexus.kinds.registry import KINDS
from nexus.policy.facts import OF_RESOURCE
from nexus.policy.rules import Subject
from nexus.policy.shipped import SHIPPED
from nexus.schema.policies import PARAMETERS, SHIPPED_RULES, SUBJECTS
from tests.policy.plans import Place, told

CLOSED = "policies: {closed: {use: no-internet}}\n"


def test_a_policy_holds_in_its_environments_only(place: Place) -> None:
    manifest = (
        "environments: {dev: {}, prod: {}}\nsandboxes: {web: {}}\n"
        "policies: {closed: {use: no-internet, environments: [prod]}}\n"
    )
    assert told(place.plan(manifest)) == []
    assert told(place.plan(manifest, environment="dev")) == []
    assert place.plan(manifest, environment="prod").is_denied


def test_parameters_and_levels_follow_the_environment_by_variables(place: Place) -> None:
    manifest = """
variables: {budget: {default: 1000}, level: {default: warn}}
environments: {prod: {budget: 5, level: deny}}
sandboxes: {web: {}}
policies: {budget: {use: budget, monthly: "${{ vars.budget }}", level: "${{ vars.level }}"}}
"""
    assert told(place.plan(manifest)) == []
    assert place.plan(manifest, environment="prod").is_denied
    (line,) = told(place.plan(manifest.replace("default: 1000", "default: 5")))
    assert line.startswith("warning")


def test_included_files_may_hold_the_policies(place: Place) -> None:
    (place.folder / "policies.yaml").write_text(CLOSED)
    (finding,) = place.plan("include: policies.yaml\nsandboxes: {web: {}}\n").diagnostics
    assert "policies.yaml:1:12" in finding.detail
    assert finding.range is not None
    assert finding.range.file == "nexus.yaml"


def test_the_file_of_an_environment_may_add_policies_and_be_all_that_declares_it(place: Place) -> None:
    (place.folder / "nexus.prod.yaml").write_text("policies:\n  budget: {use: budget, monthly: 1}\n")
    manifest = "sandboxes: {web: {}}\npolicies: {closed: {use: no-internet, environments: [prod]}}\n"
    assert told(place.plan(manifest)) == []
    assert len(told(place.plan(manifest, environment="prod"))) == 2


def test_what_is_excepted_is_left_alone_by_block_and_by_instance(place: Place) -> None:
    manifest = "sandboxes: {web: {}, box: {count: 2}}\npolicies:\n  closed: {use: no-internet, except: [EXCEPT]}\n"
    denied = [item.address for item in place.plan(manifest.replace("EXCEPT", "sandbox.box")).diagnostics]
    assert denied == ["sandbox.web"]
    plan = place.plan(manifest.replace("EXCEPT", """sandbox.web, 'sandbox.box["0"]'"""))
    assert [item.address for item in plan.diagnostics] == ['sandbox.box["1"]']


def test_instances_of_a_block_are_one_message(place: Place) -> None:
    (finding,) = place.plan("sandboxes: {box: {count: 20}}\n" + CLOSED).diagnostics
    assert finding.address == 'sandbox.box["0"]'
    assert 'sandbox.box["1"]' in finding.detail
    assert "and 14 more" in finding.detail


def test_a_rule_sees_what_was_applied_before(place: Place) -> None:
    place.world.apply("sandboxes: {web: {timeout: 1h}}")
    policy = (
        "policies:\n  never-longer:\n    deny: ${{ self.before != null && self.timeout > self.before.timeout }}\n"
        "    message: ${{ self.before.timeout }} s were enough\n"
    )
    assert told(place.plan("sandboxes: {web: {timeout: 30m}, new: {timeout: 9h}}\n" + policy)) == []
    (line,) = told(place.plan("sandboxes: {web: {timeout: 2h}}\n" + policy))
    assert line == "denied sandbox.web 3:28 3600 s were enough"


def test_a_rule_about_changes_sees_the_fields_that_change(place: Place) -> None:
    place.world.apply("sandboxes: {web: {metadata: {team: a}}}")
    policy = (
        "policies:\n  own:\n    for: change\n    deny: ${{ self.fields.exists(path, path.startsWith('metadata')) }}\n"
        "    message: ${{ self.address }} changes hands\n"
    )
    (line,) = told(place.plan("sandboxes: {web: {metadata: {team: b}}}\n" + policy))
    assert line.endswith("sandbox.web changes hands")


MISTAKES = [
    ("policies: {a: {use: no-intrenet}}", "invalid-value", 3, "no-internet"),
    ("policies: {a: {use: no-internet, monthly: 3}}", "unknown-field", 3, "has no monthly"),
    ("policies: {a: {use: no-internet, message: m}}", "unknown-field", 3, "has no message"),
    ("policies: {a: {use: budget}}", "missing-field", 3, "hourly or until_end or monthly"),
    ("policies: {a: {use: required-tags}}", "missing-field", 3, "keys"),
    ("policies: {a: {use: time-to-live, maximum: soon}}", "invalid-value", 3, "maximum"),
    ("policies: {a: {message: m}}", "missing-field", 3, "says what it denies"),
    ("policies: {a: {deny: true}}", "missing-field", 3, "needs a message"),
    ("policies: {a: {deny: true, warn: true, message: m}}", "conflicting-fields", 3, "one of both"),
    ("policies: {a: {deny: true, message: m, monthly: 3}}", "unknown-field", 3, "belongs to a shipped rule"),
    ("policies: {a: {deny: self.timeout > 3, message: m}}", "wrong-type", 3, "a condition such as"),
    ("policies: {a: {for: pod, deny: true, message: m}}", "invalid-value", 3, "for"),
    ("policies:\n  a:\n    deny: ${{ self.timout > 3 }}\n    message: m", "unknown-field", 5, "has no timout"),
    ("policies:\n  a:\n    for: plan\n    deny: ${{ self.timeout > 3 }}\n    message: m", "unknown-field", 6, "has no"),
    ("policies:\n  a:\n    deny: ${{ vars.nix }}\n    message: m", "unknown-variable", 5, "nix"),
    ("policies:\n  a:\n    deny: ${{ secrets.nix == '' }}\n    message: m", "invalid-value", 5, "secrets"),
    ("policies:\n  a:\n    deny: ${{ sandbox.web.id == '' }}\n    message: m", "invalid-value", 5, "sandbox"),
    ("policies:\n  a:\n    deny: ${{ self.timeout > }}\n    message: m", "expression-invalid", 5, ""),
    ("policies:\n  a:\n    deny: true\n    message: ${{ self.nope }}", "unknown-field", 6, "nope"),
    ("policies: {a: {use: no-internet, environments: [prd]}}", "unknown-environment", 3, "prd"),
    ("policies: {a: {use: no-internet, except: [web]}}", "invalid-value", 3, "not an address"),
    ("policies: {a: {use: '${{ env.RULE }}'}}", "expression-not-allowed", 3, "use"),
    ("policies: {a: {for: '${{ env.RULE }}', deny: true, message: m}}", "expression-not-allowed", 3, "for"),
    ("policies: {a: {use: no-internet, level: \"${{ 'maybe' }}\"}}", "invalid-value", 3, "level"),
    ("policies: {a: {use: budget, monthly: \"${{ 'much' }}\"}}", "wrong-type", 3, "monthly"),
    ("policies: {a: {use: budget, monthly: '${{ sandbox.web.id }}'}}", "not-known-before-apply", 3, "monthly"),
]


@pytest.mark.parametrize(("text", "code", "line", "words"), MISTAKES)
def test_a_mistake_in_a_policy_is_told_when_validating(
    place: Place, text: str, code: str, line: int, words: str
) -> None:
    (found, *more) = place.wrong(text + "\n")
    assert (found.code, found.severity) == (code, "error"), found
    assert found.range is not None
    assert found.range.start.line == line
    assert words in f"{found.summary} {found.hint}"
    assert not more


def test_a_condition_that_can_not_be_evaluated_is_an_error_and_not_a_pass(place: Place) -> None:
    policy = "policies:\n  own:\n    deny: ${{ self.metadata.team == 'x' }}\n    message: m\n"
    (found,) = place.plan("sandboxes: {web: {}}\n" + policy).diagnostics
    assert (found.code, found.severity, found.address) == ("expression-failed", "error", "sandbox.web")
    assert "no «team»" in found.summary


def test_a_condition_without_an_answer_is_an_error(place: Place) -> None:
    policy = "policies:\n  own:\n    deny: ${{ self.timeout }}\n    message: m\n"
    (found,) = place.plan("sandboxes: {web: {}}\n" + policy).diagnostics
    assert (found.code, found.severity) == ("wrong-type", "error")


def test_the_tables_of_shipped_rules_agree() -> None:
    assert SHIPPED.keys() == SHIPPED_RULES.keys()
    assert {name for rule in SHIPPED_RULES.values() for name in rule.parameters} == PARAMETERS.keys()
    assert tuple(Subject) == SUBJECTS


def test_what_rules_know_of_a_resource_hides_none_of_its_fields() -> None:
    for subject in Subject:
        if subject.is_kind:
            fields = {field.name for field in KINDS[subject].fields}
            assert fields & set(OF_RESOURCE) <= {"address"}
