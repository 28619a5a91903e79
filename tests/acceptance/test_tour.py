"""The main job from beginning to end: apply, change what can be changed one by one, apply again, destroy."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256

import httpx
import pytest

from tests.acceptance.project import Project
from tests.lifecycle.scenario import Scenario

pytestmark = [pytest.mark.engine, pytest.mark.slow]

LIMIT = 280.0
SANDBOXES = ("sandbox.web", "sandbox.maker", "sandbox.reader")


class Tour:
    """A project on its way through its versions."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario

    def to(self, project: Project) -> dict[str, str]:
        """Write this version and apply it. Returns what the plan said, by address."""
        self._write(project)
        actions = self.scenario.actions()
        before = {address: found[0].sandbox_id for address, found in self.scenario.live().items()}
        self.scenario.heard(self.scenario.start("apply", "-y").wait(LIMIT)).expect(0)
        self.scenario.expect_no_changes()
        self.scenario.expect_live(*SANDBOXES)
        after = {address: found[0].sandbox_id for address, found in self.scenario.live().items()}
        made_anew = {address for address, found in after.items() if before.get(address) != found}
        assert made_anew == {address for address in SANDBOXES if actions.get(address) in ("create", "replace")}
        return actions

    def page(self, path: str) -> httpx.Response:
        url = self.scenario.run("output", "--raw", "url").expect(0).stdout.strip()
        return httpx.get(f"{url}/{path}", timeout=30)

    def _write(self, project: Project) -> None:
        self.scenario.write(project.manifest)
        for path, content in project.files.items():
            self.scenario.file(path, content)
        for place in (self.scenario.folder / "site").rglob("*.html"):
            if str(place.relative_to(self.scenario.folder)) not in project.files:
                place.unlink()


def test_a_project_is_made_changed_in_every_way_and_taken_down(scenario: Scenario) -> None:
    tour, inside = Tour(scenario), scenario.inside
    project = Project()

    tour.to(project)
    assert tour.page("5/page-299.html").text == "<p>299</p>\n"
    assert inside("sandbox.maker", "command -v tree && cat /etc/toolbox && echo $TOOLBOX") == "/usr/bin/tree\nfirst\n1"
    answer = scenario.run("output", "--raw", "answer").expect(0).stdout.strip()
    assert answer == sha256(b"dear-reader").hexdigest()

    project = replace(project, slugify="8.0.4")
    assert tour.to(project) == {"sandbox.maker": "update"}
    assert "8.0.4" in inside("sandbox.maker", "pip show python-slugify")

    project = project.with_file("site/0/page-7.html", "<p>seven</p>\n").with_file("site/new.html", "<p>new</p>\n")
    assert tour.to(project) == {"sandbox.web": "update"}
    assert tour.page("0/page-7.html").text == "<p>seven</p>\n"

    project = project.without_file("site/0/page-8.html")
    assert tour.to(project) == {"sandbox.web": "update"}
    assert tour.page("0/page-8.html").status_code == 404

    project = replace(project, command="ls -R /srv/site > /srv/logs/listing")
    assert tour.to(project) == {"sandbox.web": "update"}
    assert "page-299.html" in inside("sandbox.web", "cat /srv/logs/listing", user="root")

    project = replace(project, start_command="python3 -m http.server 8000 --directory /srv/site/0")
    assert tour.to(project) == {"sandbox.web": "update"}
    assert tour.page("page-7.html").text == "<p>seven</p>\n"

    project = replace(project, timeout="2h")
    assert tour.to(project) == {"sandbox.web": "update"}
    lifetime = scenario.only("sandbox.web")
    assert (lifetime.end_at - lifetime.started_at).total_seconds() > 6000

    project = replace(project, network="{internet: true}")
    assert tour.to(project) == {"sandbox.reader": "update"}
    assert inside("sandbox.reader", f"curl -fsS -o /dev/null -w '%{{http_code}}' {tour.page('').url}") == "200"

    project = replace(project, greeting="moin")
    assert tour.to(project) == {"sandbox.web": "update"}
    assert inside("sandbox.web", "echo $GREETING") == "moin"

    project = replace(project, code='open("/home/user/letter.txt", "w").write("Dear Writer")')
    assert tour.to(project) == {"step.hand-over.make": "run", "step.hand-over.read": "run"}
    assert inside("sandbox.reader", "cat answer.txt") == "Dear Writer"

    project = replace(project, build_note="second")
    actions = tour.to(project)
    assert {
        "template.toolbox": "update",
        "sandbox.maker": "replace",
        "step.hand-over.make": "run",
    }.items() <= actions.items()
    assert inside("sandbox.maker", "cat /etc/toolbox") == "second"

    scenario.destroy().expect(0)
    scenario.expect_nothing_left()
