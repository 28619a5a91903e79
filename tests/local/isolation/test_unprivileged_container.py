"""The engine where no namespace is to be had: it says so, and works as well as it can for those who ask for it."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from e2b import CommandExitException, Sandbox, SandboxException, Template
from e2b.sandbox.commands.command_handle import PtySize

from nexus.local.settings import load_settings
from nexus.local.storage.removal import remove_tree
from tests.local.isolation.container import container, require_container, says
from tests.local.waiting import wait_until

pytestmark = [pytest.mark.engine, pytest.mark.slow]

NEXUS = (sys.executable, "-m", "nexus")
ESCAPE = """
import os, sys
os.makedirs("/tmp/jail", exist_ok=True)
here = os.open("/", os.O_RDONLY)
os.chroot("/tmp/jail")
os.fchdir(here)
for _ in range(30):
    os.chdir("..")
os.chroot(".")
print(os.path.exists(sys.argv[1]))
"""


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    require_container()
    folder = Path(tempfile.mkdtemp(prefix="nexus-ct-"))
    yield folder / "home"
    remove_tree(folder)


@pytest.fixture(scope="module")
def options(home: Path) -> Iterator[dict[str, Any]]:
    """An engine in a container, which was asked for what works there."""
    with container(home, *NEXUS, "local", "start", "--isolation", "chroot") as output:
        text = says(output, "To use it from any E2B client", "error[")
        assert "was asked for, which lacks:" in text, text
        settings = load_settings(home)
        assert settings is not None
        yield {
            "api_key": settings.api_key,
            "api_url": settings.api_url,
            "sandbox_url": settings.sandbox_url,
            "timeout": 1000,
        }


@pytest.fixture(scope="module")
def sandbox(options: dict[str, Any]) -> Iterator[Sandbox]:
    made = Sandbox.create(**options)
    yield made
    made.kill()


@pytest.fixture(scope="module")
def other(options: dict[str, Any]) -> Iterator[Sandbox]:
    made = Sandbox.create(**options)
    yield made
    made.kill()


def test_without_consent_nothing_starts_and_each_way_is_explained(home: Path) -> None:
    with container(home, *NEXUS, "local", "start") as output:
        text = says(output, "hint:")
    for tier in ("idmap", "root", "rootless1"):
        assert f"{tier}: " in text
    assert "Operation not permitted" in text
    assert "docker run --privileged" in text
    assert "nexus local start --isolation chroot" in text
    assert not list(home.glob("store/*/up/*"))


def test_the_doctor_tells_what_each_way_needs(home: Path) -> None:
    with container(home, *NEXUS, "local", "doctor", "--json") as output:
        found = json.loads(says(output, "\n}"))
    assert found["usable"] is False
    findings = {item["title"].split(":")[0]: item for item in found["findings"]}
    assert all(not findings[tier]["ok"] for tier in ("idmap", "root", "rootless1", "chroot"))
    assert "works here" in findings["chroot"]["detail"]
    assert "docker run --privileged" in findings["root"]["remedy"]
    assert findings["chroot"]["remedy"] == "nexus local start --isolation chroot"


@pytest.mark.thorough
def test_commands_run_as_either_user_with_sudo(sandbox: Sandbox) -> None:
    assert sandbox.commands.run("id -un; pwd").stdout == "user\n/home/user\n"
    assert sandbox.commands.run("id -u", user="root").stdout == "0\n"
    assert sandbox.commands.run("sudo id -u").stdout == "0\n"
    assert sandbox.commands.run("cat", stdin=False).stdout == ""
    with pytest.raises(CommandExitException) as failure:
        sandbox.commands.run("exit 3")
    assert failure.value.exit_code == 3


@pytest.mark.thorough
def test_files_are_the_sandboxs_own(sandbox: Sandbox, other: Sandbox) -> None:
    sandbox.files.write("/usr/local/bin/mine", "#!/bin/sh\necho mine\n", user="root")
    sandbox.commands.run("sudo chmod +x /usr/local/bin/mine && sudo sh -c 'echo changed >>/usr/bin/which'")
    assert sandbox.commands.run("mine").stdout == "mine\n"
    assert not other.files.exists("/usr/local/bin/mine")
    assert "changed" not in other.files.read("/usr/bin/which")
    assert "changed\n" not in Path("/usr/bin/which").read_text()


@pytest.mark.thorough
def test_terminals_work(sandbox: Sandbox) -> None:
    terminal = sandbox.pty.create(size=PtySize(rows=24, cols=80))
    sandbox.pty.send_stdin(terminal.pid, b"stty size; test -t 0 && echo is-a-terminal; exit\n")
    seen = b"".join(piece for _, _, piece in terminal if piece)
    assert b"24 80" in seen
    assert b"\r\nis-a-terminal" in seen


@pytest.mark.thorough
def test_a_port_leads_to_the_sandbox_that_serves_it_and_to_no_other(
    sandbox: Sandbox, other: Sandbox, options: dict[str, Any]
) -> None:
    sandbox.commands.run("python3 -m http.server 8123 -d /etc", background=True)

    def status_of(box: Sandbox, port: int = 8123) -> int:
        headers = {"E2b-Sandbox-Id": box.sandbox_id, "E2b-Sandbox-Port": str(port)}
        return httpx.get(f"{options['sandbox_url']}/hostname", headers=headers).status_code

    wait_until(lambda: status_of(sandbox) == 200, "the server answers")
    assert status_of(other) == 502
    assert status_of(other, int(options["api_url"].rsplit(":", 1)[1])) == 502


@pytest.mark.thorough
def test_a_pause_stops_what_runs(sandbox: Sandbox, options: dict[str, Any]) -> None:
    sandbox.commands.run("setsid sh -c 'while :; do date +%s%N >/tmp/beat; sleep 0.02; done' &", background=True)
    wait_until(lambda: sandbox.files.exists("/tmp/beat"), "it beats")
    path = next(Path(load.stdout.strip()) for load in [sandbox.commands.run("echo /tmp/beat")])
    sandbox.pause()
    assert [
        item.state.value
        for item in Sandbox.list(**_account(options)).next_items()
        if item.sandbox_id == sandbox.sandbox_id
    ] == ["paused"]
    sandbox.connect()
    first = sandbox.files.read(str(path))
    wait_until(lambda: sandbox.files.read(str(path)) != first, "it goes on")


@pytest.mark.thorough
def test_killing_ends_every_process_and_file(options: dict[str, Any], home: Path) -> None:
    made = Sandbox.create(**options)
    made.commands.run("setsid nohup sleep 98765 >/dev/null 2>&1 & (setsid sleep 98765 >/dev/null 2>&1 &)")
    wait_until(lambda: _processes("98765"), "they run")
    made.kill()
    wait_until(lambda: not _processes("98765"), "they are gone")
    wait_until(lambda: not list(home.glob(f"store/chroot/up/{made.sandbox_id}")), "its files are gone")


@pytest.mark.thorough
def test_templates_are_built_in_layers(options: dict[str, Any]) -> None:
    template = (
        Template()
        .from_base_image()
        .run_cmd("echo one >~/one")
        .run_cmd("sudo sh -c 'rm /etc/motd -f; echo 2 >/opt/two'")
    )
    account = {name: options[name] for name in ("api_key", "api_url")}
    Template.build(template, "built-in-container", **account)
    made = Sandbox.create("built-in-container", **options)
    assert made.commands.run("cat ~/one /opt/two").stdout == "one\n2\n"
    made.kill()


@pytest.mark.thorough
def test_what_cannot_be_kept_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(SandboxException, match="cannot limit the network"):
        Sandbox.create(allow_internet_access=False, **options)


@pytest.mark.thorough
def test_root_of_a_sandbox_does_not_get_out(sandbox: Sandbox, home: Path) -> None:
    sandbox.files.write("/root/escape.py", ESCAPE, user="root")
    attempt = sandbox.commands.run(f"python3 /root/escape.py {home} 2>&1 || true", user="root").stdout
    assert "Operation not permitted" in attempt or "False" in attempt
    for device in ("b 254 0", "c 1 1"):
        assert "not permitted" in sandbox.commands.run(f"mknod /tmp/disk {device} 2>&1 || true", user="root").stdout
    assert not sandbox.files.exists(str(home))
    assert sandbox.commands.run("ls /proc /sys", user="root").stdout.split() == ["/proc:", "/sys:"]


@pytest.mark.thorough
def test_links_of_a_template_do_not_lead_the_engine_outside(options: dict[str, Any], home: Path) -> None:
    """The engine empties /run of a new machine, which a template may have turned into a link."""
    precious = home.parent / "precious"
    precious.mkdir()
    (precious / "file").write_text("kept")
    template = Template().from_base_image().run_cmd(f"sudo sh -c 'rm -rf /run /dev/shm; ln -s {precious} /run'")
    account = {name: options[name] for name in ("api_key", "api_url")}
    Template.build(template, "links-outside", **account)
    with pytest.raises(SandboxException):
        Sandbox.create("links-outside", **options)
    assert (precious / "file").read_text() == "kept"
    shutil.rmtree(precious)


def _account(options: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if name != "timeout"}


def _processes(word: str) -> list[str]:
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if word.encode() in entry.read_bytes():
                found.append(entry.parent.name)
        except OSError:
            continue
    return found
