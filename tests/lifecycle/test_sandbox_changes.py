"""What a change of a sandbox's fields means: each row of the manual's table, by a real edit and its effect inside."""

from __future__ import annotations

import pytest

from tests.lifecycle.scenario import Scenario

pytestmark = pytest.mark.engine

BOX = "sandbox.box"


def box(fields: str) -> str:
    """A manifest with one sandbox."""
    return "sandboxes:\n  box:\n    timeout: 10m\n" + "".join(f"    {line}\n" for line in fields.strip().splitlines())


def change(scenario: Scenario, fields: str) -> dict[str, str]:
    """Edit the sandbox's fields, plan, apply, see that nothing is left to do. Returns the plan's action and cause."""
    scenario.write(box(fields))
    (planned,) = (item for item in scenario.plan()["changes"] if item["kind"] == "sandbox")
    scenario.apply().expect(0)
    scenario.expect_no_changes()
    return {"action": planned["action"], "cause": planned["cause"]}


def begin(scenario: Scenario, fields: str) -> str:
    """Apply a first manifest; the sandbox's id."""
    assert change(scenario, fields) == {"action": "create", "cause": "not in state"}
    return scenario.id_of(BOX)


@pytest.mark.parametrize(
    ("before", "after", "changed"),
    [
        ("on_timeout: kill", "on_timeout: pause", "on_timeout"),
        ("on_timeout: pause", "on_timeout: pause\nauto_resume: true", "auto_resume"),
        ("metadata: {team: data}", "metadata: {team: web}", "metadata"),
        ("user: user", 'volumes: {/data: "${{ volume.disk }}"}', "volumes"),
    ],
)
def test_what_e2b_cannot_change_on_a_live_sandbox_replaces_it(
    scenario: Scenario, before: str, after: str, changed: str
) -> None:
    scenario.write("volumes: {disk: {}}\n" + box(before))
    scenario.apply().expect(0)
    first = scenario.id_of(BOX)
    scenario.write("volumes: {disk: {}}\n" + box(after))
    (planned,) = scenario.plan()["changes"]
    assert (planned["action"], changed in planned["cause"]) == ("replace", True)
    scenario.apply().expect(0)
    scenario.expect_no_changes()
    scenario.expect_live(BOX)
    assert scenario.id_of(BOX) != first
    now = scenario.sandbox(BOX).get_info()
    seen = {
        "on_timeout": lambda: now.lifecycle is not None and now.lifecycle["on_timeout"] == "pause",
        "auto_resume": lambda: now.lifecycle is not None and now.lifecycle["auto_resume"],
        "metadata": lambda: now.metadata["team"] == "web",
        "volumes": lambda: scenario.inside(BOX, "touch /data/x && ls /data") == "x",
    }
    assert seen[changed]()


def test_timeout_changes_in_place(scenario: Scenario) -> None:
    first = begin(scenario, "template: base")
    before = scenario.only(BOX).end_at
    scenario.write(box("template: base").replace("10m", "2h"))
    assert scenario.actions() == {BOX: "update"}
    scenario.apply().expect(0)
    scenario.expect_no_changes()
    assert scenario.id_of(BOX) == first
    assert (scenario.only(BOX).end_at - before).total_seconds() > 6000


def test_network_changes_in_place(scenario: Scenario) -> None:
    web = """
  web:
    timeout: 10m
    start_command: python3 -m http.server 8000
    ready: {port: 8000}
    ports: {http: 8000}
"""
    probe = 'env_vars: {URL: "${{ sandbox.web.urls.http }}"}'
    ask = 'curl -s -m 5 -o /dev/null -w "%{http_code}" "$URL" || true'
    scenario.write(box(probe) + web)
    scenario.apply().expect(0)
    first = scenario.id_of(BOX)
    assert scenario.inside(BOX, ask) == "200"
    scenario.write(box(probe + "\nnetwork: {internet: false}") + web)
    assert scenario.actions() == {BOX: "update"}
    scenario.apply().expect(0)
    scenario.expect_no_changes()
    assert scenario.inside(BOX, ask) == "000"
    scenario.write(box(probe) + web)
    scenario.apply().expect(0)
    scenario.expect_no_changes()
    assert scenario.inside(BOX, ask) == "200"
    assert scenario.id_of(BOX) == first


def test_environment_changes_in_place_and_nothing_runs_again(scenario: Scenario) -> None:
    once = '\nrun_commands: ["echo ran >> /home/user/log"]'
    first = begin(scenario, "env_vars: {A: one, B: two}" + once)
    read = 'echo "${A-none} ${B-none} ${C-none}"'
    assert scenario.inside(BOX, read) == "one two none"
    assert change(scenario, "env_vars: {A: other, C: three}" + once)["action"] == "update"
    assert scenario.inside(BOX, f"bash -lc '{read}'") == "other none three"
    assert scenario.inside(BOX, "cat /home/user/log") == "ran"
    assert change(scenario, once)["action"] == "update"
    assert scenario.inside(BOX, f"bash -lc '{read}'") == "none none none"
    assert scenario.id_of(BOX) == first


def test_a_rotated_secret_changes_the_environment_in_place(scenario: Scenario) -> None:
    scenario.write("secrets: {TOKEN: {env: TOKEN}}\n" + box('env_vars: {TOKEN: "${{ secrets.TOKEN }}"}'))
    scenario.apply(TOKEN="first-secret-value").expect(0)
    first = scenario.id_of(BOX)
    scenario.expect_no_changes(TOKEN="first-secret-value")
    (planned,) = scenario.plan(TOKEN="second-secret-value")["changes"]
    assert (planned["action"], planned["cause"]) == ("update", "secret rotated")
    scenario.apply(TOKEN="second-secret-value").expect(0)
    scenario.expect_no_changes(TOKEN="second-secret-value")
    assert scenario.inside(BOX, "bash -lc 'echo $TOKEN'") == "second-secret-value"
    assert scenario.id_of(BOX) == first


@pytest.mark.slow
def test_packages_are_installed_upgraded_and_uninstalled(scenario: Scenario) -> None:
    version = "python3 -c 'import iniconfig, importlib.metadata as m; print(m.version(\"iniconfig\"))'"
    absent = "python3 -c 'import iniconfig' 2>/dev/null || echo absent"
    first = begin(scenario, "packages: {pip: [iniconfig==2.0.0]}")
    assert scenario.inside(BOX, version) == "2.0.0"
    assert change(scenario, "packages: {pip: [iniconfig==2.1.0]}")["action"] == "update"
    assert scenario.inside(BOX, version) == "2.1.0"
    assert change(scenario, "packages: {pip: [iniconfig==2.1.0], npm: [is-number@7.0.0]}")["action"] == "update"
    assert "is-number@7.0.0" in scenario.inside(BOX, "bash -lc 'npm ls -g --depth 0'")
    assert change(scenario, "packages: {npm: [is-number@7.0.0]}")["action"] == "update"
    assert scenario.inside(BOX, absent) == "absent"
    assert change(scenario, "template: base")["action"] == "update"
    assert "is-number" not in scenario.inside(BOX, "bash -lc 'npm ls -g --depth 0'")
    assert scenario.id_of(BOX) == first


def test_only_changed_files_are_sent_and_files_no_longer_declared_deleted(scenario: Scenario) -> None:
    for name in ("kept", "edited", "removed", "sub/deep"):
        scenario.file(f"app/{name}.txt", f"{name} one")
    upload = "uploads: [{source: ./app/, path: /srv/app}]"
    first = begin(scenario, upload)
    scenario.inside(BOX, "echo mine > /srv/app/mine.txt")
    inode = scenario.inside(BOX, "stat -c '%i %y' /srv/app/kept.txt")
    scenario.file("app/edited.txt", "edited two")
    (scenario.folder / "app/removed.txt").unlink()
    (scenario.folder / "app/sub/deep.txt").chmod(0o755)
    assert change(scenario, upload)["action"] == "update"
    assert scenario.inside(BOX, "cat /srv/app/edited.txt") == "edited two"
    assert scenario.inside(BOX, "stat -c '%i %y' /srv/app/kept.txt") == inode
    assert scenario.inside(BOX, "stat -c %a /srv/app/sub/deep.txt") == "755"
    assert scenario.inside(BOX, "cd /srv/app && ls") == "edited.txt\nkept.txt\nmine.txt\nsub"
    assert change(scenario, "template: base")["action"] == "update"
    assert scenario.inside(BOX, "find /srv/app -type f") == "/srv/app/mine.txt"
    assert scenario.id_of(BOX) == first


def test_an_upload_of_text_is_sent_again_when_text_or_mode_change(scenario: Scenario) -> None:
    first = begin(scenario, "uploads: [{path: /srv/note, content: one, mode: '0600'}]")
    assert scenario.inside(BOX, "cat /srv/note; stat -c ' %a' /srv/note") == "one 600"
    change(scenario, "uploads: [{path: /srv/note, content: two, mode: '0600'}]")
    change(scenario, "uploads: [{path: /srv/note, content: two, mode: '0640'}]")
    assert scenario.inside(BOX, "cat /srv/note; stat -c ' %a' /srv/note") == "two 640"
    assert scenario.id_of(BOX) == first


def test_commands_run_again_from_the_first_changed_one_on(scenario: Scenario) -> None:
    def fields(second: str, startup: str = "s") -> str:
        commands = ["echo a >> /log", second, "echo c >> /log"]
        return f"run_commands: {commands}\nstartup_script: echo {startup} >> /log"

    def log() -> str:
        return scenario.inside(BOX, "tr -d '\\n' < /log", user="root")

    first = begin(scenario, fields("echo b >> /log"))
    assert log() == "abcs"
    assert change(scenario, fields("echo B >> /log"))["action"] == "update"
    assert log() == "abcsBcs"
    change(scenario, fields("echo B >> /log", startup="S"))
    assert log() == "abcsBcsS"
    change(scenario, "run_commands: ['echo a >> /log']\nstartup_script: echo S >> /log")
    assert log().startswith("abcsBcsS")
    assert scenario.id_of(BOX) == first


def test_replace_on_makes_a_change_of_setup_a_replacement(scenario: Scenario) -> None:
    lifecycle = "\nlifecycle: {replace_on: [startup_script]}"
    first = begin(scenario, "startup_script: echo one > /made" + lifecycle)
    planned = change(scenario, "startup_script: echo two > /made" + lifecycle)
    assert planned == {"action": "replace", "cause": "startup_script changed"}
    assert scenario.inside(BOX, "cat /made") == "two"
    assert scenario.id_of(BOX) != first


def test_a_changed_start_command_stops_the_old_process_and_starts_the_new_one(scenario: Scenario) -> None:
    def served(port: int) -> str:
        return scenario.inside(BOX, f"curl -s -o /dev/null -w '%{{http_code}}' localhost:{port} || true")

    first = begin(scenario, "start_command: python3 -m http.server 8001\nready: {port: 8001}")
    assert served(8001) == "200"
    planned = change(scenario, "start_command: python3 -m http.server 8002\nready: {port: 8002}")
    assert planned["action"] == "update"
    assert (served(8001), served(8002)) == ("000", "200")
    change(scenario, "template: base")
    assert (served(8001), served(8002)) == ("000", "000")
    assert scenario.id_of(BOX) == first


def test_a_changed_ready_is_waited_for(scenario: Scenario) -> None:
    first = begin(scenario, "start_command: sleep 1000\nready: {file: /etc/hostname}")
    pid = scenario.inside(BOX, "pgrep -f 'sleep 1000' | head -1")
    change(scenario, "start_command: sleep 1000\nready: {command: test -d /tmp}")
    assert scenario.inside(BOX, "pgrep -f 'sleep 1000' | head -1") == pid
    assert scenario.id_of(BOX) == first


def test_ports_are_taken_in_without_touching_the_sandbox(scenario: Scenario) -> None:
    fields = "start_command: python3 -m http.server 8000\nready: {port: 8000}\nports: "
    output = 'outputs: {url: {value: "${{ sandbox.box.urls.second }}"}}\n'
    first = begin(scenario, fields + "{first: 8000}")
    scenario.write(box(fields + "{second: 8000}") + output)
    assert scenario.actions() == {BOX: "update"}
    scenario.apply().expect(0)
    scenario.expect_no_changes()
    url = scenario.run("output", "--json").expect(0).json["url"]["value"]
    assert scenario.inside(BOX, f"curl -s -o /dev/null -w '%{{http_code}}' {url}") == "200"
    assert scenario.id_of(BOX) == first
