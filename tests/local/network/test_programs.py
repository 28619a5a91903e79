"""Real programs in a real machine, against the package index this host is configured with."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import urllib.request

import pytest

pytestmark = pytest.mark.engine


@pytest.fixture(scope="session")
def index_url() -> str:
    """The first page of the package index, if it can be reached from here."""
    pip = [sys.executable, "-m", "pip"]
    if subprocess.run([*pip, "--version"], capture_output=True).returncode != 0:
        pytest.skip("no pip")
    configured = subprocess.run([*pip, "config", "get", "global.index-url"], capture_output=True, text=True)
    built_in = [sys.executable, "-c", "from pip._internal.models.index import PyPI; print(PyPI.simple_url)"]
    url = configured.stdout.strip() or subprocess.run(built_in, capture_output=True, text=True).stdout.strip()
    url = url.rstrip("/") + "/six/"
    try:
        with urllib.request.urlopen(url, timeout=5) as response:
            assert response.status == 200
    except OSError as error:
        pytest.skip(f"the package index cannot be reached: {error}")
    return url


async def test_urllib_speaks_https(machines, index_url):
    script = "import sys, urllib.request; print(urllib.request.urlopen(sys.argv[1], timeout=20).status)"
    assert await machines.run(script, index_url) == "200"


async def test_curl_speaks_https(machines, index_url):
    if shutil.which("curl") is None:
        pytest.skip("no curl")
    inside = await machines.start(["curl", "-sS", "-m", "20", "-o", "/dev/null", "-w", "%{http_code}", index_url])
    assert await inside.output() == "200"


async def test_node_fetches_and_resolves(machines, index_url):
    if shutil.which("node") is None:
        pytest.skip("no node")
    script = """
    const url = process.argv[1];
    require("dns").resolve4(new URL(url).hostname, (error, found) => {
      fetch(url).then(r => console.log(r.status, error === null && found.length > 0));
    });
    """
    outside = await asyncio.create_subprocess_exec("node", "-e", script, index_url, stderr=asyncio.subprocess.DEVNULL)
    if await outside.wait() != 0:
        pytest.skip("node can't fetch on this host either")
    inside = await machines.start(["node", "-e", script, index_url])
    assert await inside.output() == "200 true"


async def test_pip_downloads_a_package(machines, index_url, tmp_path):
    target = tmp_path / "downloads"
    inside = await machines.start(
        [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--no-cache-dir", "--dest", str(target), "six"]
    )
    await inside.output()
    assert [name for name in os.listdir(target) if name.startswith("six-")]
