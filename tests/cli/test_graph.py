"""Pictures and documents of a plan, from the command line."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from tests.cli.conftest import Nexus

pytestmark = pytest.mark.engine

MANIFEST = """
secrets:
  token: {env: THE_TOKEN}
sandboxes:
  web: {template: base, env_vars: {TOKEN: "${{ secrets.token }}", AUTH: "Bearer ${{ secrets.token }}"}}
  worker: {template: base, count: 2, env_vars: {WEB: "${{ sandbox.web.id }}"}}
"""
SECRET = "a-seeded-secret"


def test_the_bare_graph_needs_no_engine_and_no_values(nexus: Nexus) -> None:
    nexus.write(MANIFEST)
    drawn = nexus.ok("graph", "--no-plan", env={"NEXUS_HOME": str(nexus.folder / "nowhere")})
    assert drawn.out.startswith("flowchart LR\n")
    assert 'subgraph n2["sandbox.worker"]' in drawn.out
    assert drawn.err == ""
    assert not (nexus.folder / "nowhere").exists()


def test_a_saved_plan_is_drawn_without_asking_for_anything(nexus: Nexus) -> None:
    nexus.write(MANIFEST)
    environment = {"THE_TOKEN": SECRET}
    nexus.ok("plan", "--out", "plan.json", env=environment)
    for form in ("mermaid", "dot", "svg", "html"):
        text = nexus.ok("graph", "--plan", "plan.json", "--format", form).out
        assert "create" in text
        assert SECRET not in text
    nexus.ok("graph", "--plan", "plan.json", "--format", "svg", "--out", "graph.svg")
    assert ElementTree.parse(nexus.folder / "graph.svg").getroot().tag.endswith("svg")


def test_a_plan_can_be_read_in_a_pull_request_and_in_a_browser(nexus: Nexus) -> None:
    nexus.write(MANIFEST)
    environment = {"THE_TOKEN": SECRET}
    markdown = nexus("plan", "--format", "markdown", "--detailed-exitcode", env=environment)
    assert markdown.code == 2
    assert markdown.out.startswith("### nexus plan: ")
    assert "```mermaid" in markdown.out
    page = nexus.ok("plan", "--format", "html", env=environment)
    assert page.out.startswith("<!DOCTYPE html>")
    assert SECRET not in markdown.out + page.out
    assert nexus.ok("plan", "--format", "json", env=environment).json("plan")["summary"]["create"] >= 3


def test_what_makes_no_sense_together_is_refused(nexus: Nexus) -> None:
    nexus.write(MANIFEST)
    assert nexus("plan", "--json", "--format", "html").code == 2
    assert nexus("graph", "--no-plan", "--destroy").code == 2
    assert nexus("graph", "--plan", "plan.json", "--var", "a=b").code == 2


def test_a_file_that_cannot_be_written_is_an_error(nexus: Nexus) -> None:
    nexus.write(MANIFEST)
    ran = nexus("graph", "--no-plan", "--out", "no/such/folder.mmd")
    assert ran.code == 1
    assert "error[file-unwritable]" in ran.err
    assert "hint: " in ran.err
