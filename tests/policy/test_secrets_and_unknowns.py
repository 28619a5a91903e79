"""What is secret is judged and never told; what is not known yet is judged when it is."""

from __future__ import annotations

from dataclasses import replace

import pytest

from nexus.model.addresses import Address
from nexus.model.diagnostics import DiagnosticsError
from nexus.model.values import Sensitive
from nexus.planning import plan_to_json
from nexus.render.documents import plan_to_json as shown
from nexus.workflows.planning import Draft, refuse_denied
from tests.policy.plans import Place, told

SECRET = """
secrets: {token: {env: TOKEN}}
sandboxes:
  web: {env_vars: {TOKEN: "${{ secrets.token }}"}}
policies:
  long:
    deny: ${{ self.env_vars.TOKEN.size() < 12 }}
    message: MESSAGE
"""


@pytest.mark.parametrize("message", ["the token is too short", "${{ self.env_vars.TOKEN }} is too short"])
def test_a_secret_is_judged_and_never_told(place: Place, message: str) -> None:
    manifest = SECRET.replace("MESSAGE", message)
    assert told(place.plan(manifest, secrets={"token": Sensitive("a-long-enough-one")})) == []
    plan = place.plan(manifest, secrets={"token": Sensitive("hunter2")})
    (finding,) = plan.diagnostics
    assert finding.code == "policy-denied"
    assert "too short" in finding.summary or "depends on a secret" in finding.summary
    assert "hunter2" not in repr((plan, shown(plan), plan_to_json(plan)))


def test_a_failure_over_a_secret_tells_nothing_of_it(place: Place) -> None:
    manifest = SECRET.replace("self.env_vars.TOKEN.size() < 12", "int(self.env_vars.TOKEN) > 3").replace("MESSAGE", "m")
    (finding,) = place.plan(manifest, secrets={"token": Sensitive("hunter2")}).diagnostics
    assert finding.code == "expression-failed"
    assert "hunter2" not in repr(finding)


def test_a_secret_without_a_value_is_judged_when_applying(place: Place) -> None:
    (finding,) = place.plan(SECRET.replace("MESSAGE", "m")).diagnostics
    assert (finding.code, finding.severity) == ("policy-open", "warning")


def test_the_old_value_of_a_secret_is_known_to_nobody(place: Place) -> None:
    manifest = "secrets: {token: {env: T}}\nsandboxes: {web: {env_vars: {TOKEN: '${{ secrets.token }}'}}}\n"
    place.world.secrets = {"token": Sensitive("hunter2")}
    place.world.apply(manifest)
    policy = (
        "policies:\n  own:\n    deny: ${{ self.before.env_vars.TOKEN == 'x' }}\n    message: m\n"
        "  change: {for: change, deny: \"${{ self.before.env_vars.TOKEN == 'x' }}\", message: m}\n"
    )
    plan = place.plan(manifest.replace("TOKEN: ", "MORE: a, TOKEN: ") + policy, secrets=place.world.secrets)
    assert sorted(item.code for item in plan.diagnostics) == ["policy-open", "policy-unknown"]
    assert plan.is_denied


OPEN = """
sandboxes:
  db: {}
  web: {env_vars: {DB: "${{ sandbox.db.id }}"}, timeout: 30m}
policies:
  own:
    LEVEL: ${{ self.address == 'sandbox.web' && self.env_vars.DB.startsWith('id-') }}
    message: ${{ self.env_vars.DB }} is not a good name
"""


def half_applied(place: Place, manifest: str) -> Draft:
    """A draft whose first sandbox was made, so that what depends on it is known."""
    draft = place.draft(manifest)
    db, web = Address("sandbox", "db"), Address("sandbox", "web")
    place.world.apply("sandboxes: {db: {}}")
    draft.guard.check(draft.evaluation.at_apply(db, place.world.state.resources.get))
    draft.guard.check(draft.evaluation.at_apply(web, place.world.state.resources.get))
    return draft


def test_what_is_not_known_yet_is_judged_before_anything_is_done_to_the_resource(place: Place) -> None:
    manifest = OPEN.replace("LEVEL", "deny")
    plan = place.plan(manifest)
    assert [(item.code, item.address) for item in plan.diagnostics] == [("policy-open", "sandbox.web")]
    refuse_denied(plan)
    with pytest.raises(DiagnosticsError) as refused:
        half_applied(place, manifest)
    (finding,) = refused.value.diagnostics
    assert (finding.code, finding.address) == ("policy-denied", "sandbox.web")
    assert finding.summary.startswith("id-")


def test_what_is_allowed_once_it_is_known_passes(place: Place) -> None:
    assert half_applied(place, OPEN.replace("LEVEL", "deny").replace("'id-'", "'no-'")).guard.late == []


def test_a_warning_that_comes_up_while_applying_is_kept(place: Place) -> None:
    draft = half_applied(place, OPEN.replace("LEVEL", "warn"))
    assert [item.code for item in draft.guard.late] == ["policy-warning"]


def test_what_stays_unknown_is_denied_at_last(place: Place) -> None:
    draft = place.draft(OPEN.replace("LEVEL", "deny"))
    evaluated = next(item for item in draft.evaluation.evaluated() if item.spec.address.name == "web")
    with pytest.raises(DiagnosticsError, match="policy-unknown"):
        draft.guard.check(replace(evaluated))
