"""A seeded secret, used wherever a manifest may use one, then looked for wherever nexus and the engine write.

It may be in the memory of what uses it, and on the disk of a sandbox where its user put it: here the declared upload.
"""

from __future__ import annotations

import base64
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest

from nexus.local.settings import runtime_folder
from tests.contents import contents_below
from tests.lifecycle.scenario import Scenario

pytestmark = pytest.mark.engine

SECRET = 'Zq7/+s33d&"é <v4lue>\\x'
ROTATED = 'Kw9/+t0ken&"ü <oth3r>\\y'
UPLOADED = "uploaded-secret"
"""The name of the one file that is declared to hold it."""

MANIFEST = """
secrets: {TOKEN: {env: TOKEN}}
templates:
  tool:
    base_template: base
    env_vars: {TOKEN: "${{ secrets.TOKEN }}"}
    run_commands: [echo built > /opt/built]
sandboxes:
  box:
    template: ${{ template.tool }}
    timeout: 10m
    env_vars: {TOKEN: "${{ secrets.TOKEN }}", URL: "https://me:${{ secrets.TOKEN }}@example.org/"}
    uploads: [{path: /srv/uploaded-secret, content: "key=${{ secrets.TOKEN }}"}]
    run_commands: ['test -n "$TOKEN"', 'echo "$TOKEN"; echo "$URL" >&2; COMMAND']
    start_command: python3 -m http.server 8000
    ready: {port: 8000}
pipelines:
  p:
    steps:
      s:
        sandbox: box
        env_vars: {KEY: "${{ secrets.TOKEN }}"}
        run: 'echo "the key is $KEY"; printf %s "$KEY" | base64; printf %s "$KEY" | od -An -tx1; STEP'
outputs:
  url: {value: "https://${{ secrets.TOKEN }}/"}
"""


def forms(secret: str) -> set[bytes]:
    """The secret as it is, and as it would look in JSON, in an address, in base64 at any offset, and in hex."""
    raw = secret.encode()
    found = {
        raw,
        raw.hex().encode(),
        raw.hex().upper().encode(),
        quote(secret, safe="").encode(),
        quote_plus(secret).encode(),
    }
    found |= {quote(secret).encode(), raw.replace(b"\\", b"\\\\").replace(b'"', b'\\"')}
    for offset in range(3):
        whole = base64.b64encode(b"\0" * offset + raw)
        found.add(whole[4 if offset else 0 : len(whole) // 4 * 4 - 4])
    return found


def test_the_forms_are_recognised() -> None:
    for text in (
        b"https://x:" + SECRET.encode(),
        base64.b64encode(b"key=" + SECRET.encode()),
        SECRET.encode().hex().encode(),
    ):
        assert any(form in text for form in forms(SECRET))


def where(secrets: set[bytes], *roots: Path) -> list[str]:
    """The files that hold any form of a secret."""
    found = []
    for path, content in contents_below(*roots):
        if UPLOADED in path.name:
            continue
        found += [f"{path}: {form!r}" for form in secrets if form in content]
    return found


@contextmanager
def listing_processes() -> Iterator[list[str]]:
    """Everything that ``ps`` shows while the block runs, again and again."""
    seen: set[str] = set()
    over = threading.Event()

    def look() -> None:
        while not over.wait(0.05):
            listed = subprocess.run(["ps", "-eww", "-o", "args"], capture_output=True, check=True)
            seen.update(listed.stdout.decode(errors="replace").splitlines())

    thread = threading.Thread(target=look)
    thread.start()
    lines: list[str] = []
    try:
        yield lines
    finally:
        over.set()
        thread.join()
        lines += seen


def test_a_secret_is_nowhere_but_where_it_was_asked_for(scenario: Scenario) -> None:
    secrets = forms(SECRET) | forms(ROTATED)
    good = MANIFEST.replace("COMMAND", "true").replace("STEP", "true")
    with listing_processes() as listed:
        scenario.write(MANIFEST.replace("COMMAND", "exit 3").replace("STEP", "true"))
        scenario.run_afresh("validate").expect(0)
        scenario.run_afresh("plan", "--json", TOKEN=SECRET).expect(0)
        scenario.run_afresh("apply", "-y", TOKEN=SECRET).expect(3)
        scenario.write(MANIFEST.replace("COMMAND", "true").replace("STEP", "exit 4"))
        scenario.run_afresh("apply", "-y", "--json", TOKEN=SECRET).expect(3)
        scenario.write(good)
        scenario.run_afresh("apply", "-y", TOKEN=SECRET).expect(0)
        scenario.run("plan", "--out", str(scenario.folder / "saved.plan"), TOKEN=ROTATED).expect(0)
        scenario.apply(TOKEN=ROTATED).expect(0)
        scenario.run("plan", "--detailed-exitcode", TOKEN=ROTATED).expect(0)
        for arguments in (("output",), ("output", "--json"), ("show",), ("show", "--json"), ("state", "list")):
            scenario.run(*arguments).expect(0)
        scenario.run("state", "show", "sandbox.box").expect(0)
        scenario.run("list", "--json").expect(0)
    assert scenario.inside("sandbox.box", "bash -lc 'echo \"$TOKEN\"'") == ROTATED
    assert scenario.inside("sandbox.box", f"cat /srv/{UPLOADED}") == f"key={ROTATED}"
    home = scenario.engine.home
    assert len(listed) > 10
    assert list(contents_below(home))
    assert where(secrets, scenario.folder, home, runtime_folder(home)) == []
    told = [line.encode() for text in (*scenario.said, *listed) for line in text.splitlines()]
    assert [line for line in told if any(form in line for form in secrets)] == []
    assert any(b"the key is (sensitive)" in line for line in told)
    scenario.destroy().expect(0)
    assert where(secrets, scenario.folder, home, runtime_folder(home)) == []
