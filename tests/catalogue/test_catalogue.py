"""Every template of the catalogue, built for real and used for what it is for."""

from __future__ import annotations

import json

import httpx
import pytest

from nexus.kinds.definitions import DEFINITIONS
from tests.lifecycle.scenario import Scenario
from tests.processes import Outcome

pytestmark = [pytest.mark.engine, pytest.mark.slow]

LIMIT = 280.0
"""Seconds for an apply that builds: registries are not always quick."""


def apply(scenario: Scenario) -> Outcome:
    return scenario.heard(scenario.start("apply", "-y").wait(LIMIT)).expect(0)


def answer(scenario: Scenario, output: str = "url") -> httpx.Response:
    """What the URL of an output answers."""
    url = scenario.run("output", "--raw", output).expect(0).stdout.strip()
    return httpx.get(url, timeout=30).raise_for_status()


def test_base_brings_git_curl_and_bash_and_its_build_is_shared(scenario: Scenario) -> None:
    scenario.write("sandboxes: {one: {template: base}}")
    apply(scenario)
    assert "git version" in scenario.inside("sandbox.one", "git --version && curl --version && bash --version")
    scenario.destroy().expect(0)
    assert "catalogue.base" not in scenario.actions()


@pytest.mark.catalogue
def test_python_brings_the_common_data_science_libraries(scenario: Scenario) -> None:
    scenario.write("""
sandboxes: {lab: {template: python}}
pipelines:
  use:
    steps:
      correlate:
        sandbox: lab
        language: python
        code: |
          import matplotlib, numpy as np, pandas as pd, requests, scipy, sklearn
          frame = pd.DataFrame({"a": np.arange(9), "b": np.arange(9) * 2})
          open("/home/user/answer", "w").write(str(round(frame.corr()["a"]["b"])))
        outputs: {answer: /home/user/answer}
""")
    apply(scenario)
    assert scenario.inside("sandbox.lab", "cat answer") == "1"
    assert scenario.inside("sandbox.lab", "python --version").startswith("Python 3.")


def test_programs_find_the_packages_of_a_node_sandbox(scenario: Scenario) -> None:
    scenario.write("""
sandboxes:
  server:
    template: nodejs
    packages: [express]
    uploads:
      - path: /srv/server.mjs
        content: |
          import express from "express";
          express().get("/", (_, answer) => answer.json({version: process.version})).listen(3000);
    start_command: node /srv/server.mjs
    ready: {port: 3000}
    ports: {http: 3000}
pipelines:
  use:
    steps:
      require: {sandbox: server, language: javascript, code: require("express")}
outputs: {url: "${{ sandbox.server.urls.http }}"}
""")
    apply(scenario)
    assert answer(scenario).json() == {"version": scenario.inside("sandbox.server", "node --version")}


def test_vanilla_serves_its_page_and_what_takes_its_place(scenario: Scenario) -> None:
    scenario.write("""
sandboxes: {page: {template: vanilla, ports: {web: 8080}}}
outputs: {url: "${{ sandbox.page.urls.web }}"}
""")
    apply(scenario)
    assert answer(scenario).text == DEFINITIONS["vanilla"].files["/home/user/app/index.html"]
    scenario.inside("sandbox.page", "echo mine > app/index.html")
    assert answer(scenario).text == "mine\n"


@pytest.mark.catalogue
def test_a_react_project_builds_with_a_library_of_components(scenario: Scenario) -> None:
    scenario.write("""
sandboxes:
  ui:
    template: react
    packages: [styled-components]
    uploads:
      - path: /home/user/app/src/App.jsx
        content: |
          import styled from "styled-components";
          const Title = styled.h1`color: teal`;
          export default () => <Title>styled</Title>;
    run_commands: [cd /home/user/app && runuser -u user -- npm run build]
    start_command: cd /home/user/app && npm run preview
    ready: {port: 4173}
    ports: {http: 4173}
outputs: {url: "${{ sandbox.ui.urls.http }}"}
""")
    apply(scenario)
    assert '<div id="root">' in answer(scenario).text
    assert "color: teal" in scenario.inside("sandbox.ui", "cat app/dist/assets/*.js")


@pytest.mark.catalogue
def test_a_next_project_builds_and_answers(scenario: Scenario) -> None:
    scenario.write("""
sandboxes:
  site:
    template: nextjs
    run_commands: [cd /home/user/app && runuser -u user -- npm run build]
    start_command: cd /home/user/app && npm start
    ready: {port: 3000}
    ports: {http: 3000}
outputs: {url: "${{ sandbox.site.urls.http }}"}
""")
    apply(scenario)
    assert "<h1>Ready</h1>" in answer(scenario).text


@pytest.mark.catalogue
def test_claude_code_is_there(scenario: Scenario) -> None:
    scenario.write("sandboxes: {agent: {template: claude-code}}")
    apply(scenario)
    assert scenario.inside("sandbox.agent", "claude --version").endswith("(Claude Code)")
    assert json.loads(scenario.inside("sandbox.agent", "npm ls --global --json"))["dependencies"]
