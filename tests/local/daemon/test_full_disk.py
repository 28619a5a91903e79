"""A disk that is really full: clear errors, and nothing broken when there is room again."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from e2b import CommandExitException, Sandbox, Template

from nexus.local import daemon
from tests.local.engine_client import rest, sdk

pytestmark = pytest.mark.engine


@pytest.fixture
def small_home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An engine's home on a disk of its own, which it may fill to the last byte."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to mount a small disk")
    monkeypatch.setenv("NEXUS_LOCAL_MIN_FREE_MB", "0")
    with tempfile.TemporaryDirectory(prefix="nexus-full-") as folder:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=200m,mode=700", "none", folder], check=True)
        home = Path(folder) / "home"
        try:
            yield home
        finally:
            daemon.reset(home)
            subprocess.run(["umount", "-l", folder], check=True)


def test_a_full_disk_is_told_and_breaks_nothing(small_home: Path) -> None:
    endpoint = daemon.ensure_running(small_home)
    sandbox = Sandbox.create(timeout=3600, **sdk(endpoint))
    sandbox.files.write("kept", "precious")
    with pytest.raises(CommandExitException, match="No space left"):
        sandbox.commands.run("cat /dev/zero >~/fill")
    with rest(endpoint) as client:
        for _ in range(3):
            refused = client.post("/v2/sandboxes", json={"templateID": "base"})
            if refused.status_code < 300:
                continue
            assert refused.status_code in (500, 503, 507), refused.text
            assert "space" in refused.json()["message"], refused.text
            break
        else:
            pytest.fail("sandboxes are made without room for them")
    with pytest.raises(Exception, match=r"(?i)space"):
        sandbox.files.write("more", b"x" * 1_000_000)
    with pytest.raises(Exception, match=r"(?i)space"):
        Template.build(
            Template().from_base_image().run_cmd("echo x >~/x"),
            "full",
            api_key=endpoint.api_key,
            api_url=endpoint.api_url,
        )
    assert daemon.stop(small_home)
    endpoint = daemon.ensure_running(small_home)
    sandbox = Sandbox.connect(sandbox.sandbox_id, **sdk(endpoint))
    assert sandbox.files.read("kept") == "precious"
    sandbox.commands.run("rm ~/fill")
    again = Sandbox.create(**sdk(endpoint))
    assert again.commands.run("echo room").stdout == "room\n"
    Template.build(
        Template().from_base_image().run_cmd("echo x >~/x"), "full", api_key=endpoint.api_key, api_url=endpoint.api_url
    )
    assert httpx.get(f"{endpoint.api_url}/health").status_code == 204
