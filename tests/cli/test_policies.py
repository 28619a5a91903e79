"""A plan that policies deny: shown by `plan`, refused by everything that would apply it, whatever it was before."""

from __future__ import annotations

import pytest

from tests.cli.conftest import Nexus

pytestmark = pytest.mark.engine

MANIFEST = """
sandboxes:
  web: {template: base, timeout: 5m}
"""
CLOSED = """
policies:
  closed: {use: no-internet}
  ends: {use: time-to-live, level: warn}
"""


def test_a_denied_plan_is_shown_and_neither_saved_nor_applied(nexus: Nexus) -> None:
    nexus.write(MANIFEST)
    manifest = nexus.folder / "nexus.yaml"
    open_ = manifest.read_text()
    nexus.ok("plan", "--out", "saved")
    manifest.write_text(open_ + CLOSED)
    assert nexus.ok("validate").out.startswith("The manifest is valid")

    planned = nexus("plan", "--detailed-exitcode", "--out", "denied")
    assert planned.code == 1
    assert "+ sandbox.web  create" in planned.out
    assert "  internet  sandbox.web: everything outside may be reached" in planned.out
    assert "Cost at E2B (nothing here): $0.1170 an hour, $0.0098 until timeout, $85.41 a month." in planned.out
    assert "Denied, for 1 reason: nothing of it can be applied." in planned.out
    assert "error[policy-denied]: The internet is on\n  --> nexus.yaml:5:3" in planned.err
    assert not (nexus.folder / "denied").exists()

    document = nexus("plan", "--json").json("plan")
    assert (document["denied"], document["cost"]["billed"], document["cost"]["exact"]) == (True, False, True)
    assert document["cost"]["after"] == {"hour": 0.117, "until_end": 0.00975, "month": 85.41}
    assert [item["opens"] for item in document["opens"]] == ["internet"]

    comment = nexus("plan", "--format", "markdown")
    assert comment.code == 1
    assert "**error[policy-denied]** The internet is on, <code>sandbox.web</code> at" in comment.out

    for refused in (nexus("apply", "-y"), nexus("apply", "saved"), nexus("apply", "-y", "--json")):
        assert refused.code == 1
        assert "policy-denied" in refused.out + refused.err
        assert "sandbox.web: created" not in refused.err
    assert nexus.ok("list", "--json").json("list")["sandboxes"] == []

    manifest.write_text(open_.replace("5m", "5m, network: {internet: false}") + CLOSED)
    nexus.ok("apply", "-y")
    assert nexus("plan", "--detailed-exitcode").code == 0


def test_what_is_only_known_while_applying_is_denied_before_anything_is_done_to_it(nexus: Nexus) -> None:
    nexus.write(
        """
sandboxes:
  db: {template: base, network: {internet: false}}
  web: {template: base, env_vars: {DB: "${{ sandbox.db.id }}"}}
policies:
  named:
    deny: ${{ self.address == 'sandbox.web' && self.env_vars.DB.startsWith('i') }}
    message: ${{ self.env_vars.DB }} is not a good name
"""
    )
    planned = nexus.ok("plan")
    assert "warning[policy-open]" in planned.err
    applied = nexus("apply", "-y")
    assert applied.code == 3
    assert "is not a good name" in applied.err
    assert [item["address"] for item in nexus.ok("list", "--json").json("list")["sandboxes"]] == ["sandbox.db"]
