"""What the wheel and the sdist carry, and that the wheel alone is a working tool on a clean interpreter."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import click
import jsonschema
import pytest

import nexus

ROOT = Path(__file__).parents[2]
PYTHONS = ("python3.11", "python3.12", "python3.13", "python3.14")
LEFT_BY_USE = (".nexus", "__pycache__", ".pytest_cache")


def files(folder: str) -> set[str]:
    """Those of a folder of the checkout, but for what using them leaves."""
    found = (path for path in (ROOT / folder).rglob("*") if path.is_file())
    return {str(path.relative_to(ROOT)) for path in found if not set(LEFT_BY_USE) & set(path.parts)}


def test_the_wheel_has_the_package_the_schemas_and_the_examples(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {f"nexus/{name}" for name in files("schemas") | files("examples")} <= names
    assert files("nexus") - names == set()
    assert {"nexus/py.typed", "nexus/build.json"} <= names
    assert [name for name in names if any(part in name.split("/") for part in LEFT_BY_USE)] == []
    assert {name.partition("/")[0] for name in names} == {"nexus", f"nexus_e2b-{nexus.__version__}.dist-info"}


def test_what_using_an_example_left_is_not_in_the_wheel(tmp_path: Path) -> None:
    source = tmp_path / ".nexus" / "source"  # whatever the checkout lies in
    for name in ("nexus", "schemas", "examples"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns(*LEFT_BY_USE, "local"))
    for name in ("pyproject.toml", "hatch_build.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    left = source / "examples" / "quickstart" / ".nexus" / "default" / "state.json"
    left.parent.mkdir(parents=True)
    left.write_text("{}")
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", "wheel"], cwd=source, check=True, timeout=120)
    (wheel,) = (source / "dist").glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert "nexus/examples/quickstart/nexus.yaml" in names
    assert not [name for name in names if "state.json" in name]
    assert "nexus/build.json" not in names, "there is no repository to ask for a commit"


def test_the_sdist_makes_the_same_wheel(distributions: Path, wheel: Path, tmp_path: Path) -> None:
    (sdist,) = distributions.glob("*.tar.gz")
    subprocess.run(["tar", "-xzf", sdist, "-C", tmp_path], check=True, timeout=60)
    (source,) = tmp_path.iterdir()
    assert {"tests", "docs", "Makefile", "LICENSE", "CHANGELOG.md"} <= {path.name for path in source.iterdir()}
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", "wheel"], cwd=source, check=True, timeout=120)
    (again,) = (source / "dist").glob("*.whl")
    first, second = (
        {item.filename: item.CRC for item in zipfile.ZipFile(path).infolist() if not item.filename.endswith("RECORD")}
        for path in (wheel, again)
    )
    assert first == second


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the wheel alone in it, which is lent what else it needs by that of the tests."""
    folder = tmp_path_factory.mktemp("clean") / "venv"
    venv.create(folder, with_pip=False, symlinks=True)
    python = folder / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*pip, str(wheel)], check=True, timeout=120)
    return folder / "bin"


def called(binaries: Path, folder: Path, *command: str) -> str:
    """What a program of the environment writes, in a folder with nothing of the checkout in reach."""
    environment = {"PATH": f"{binaries}:/usr/bin:/bin", "HOME": str(folder), "NO_COLOR": "1"}
    lent = {"PYTHONPATH": str(Path(click.__file__).parents[1])}
    folder.mkdir(exist_ok=True)
    done = subprocess.run(
        [str(binaries / command[0]), *command[1:]],
        cwd=folder,
        env={**environment, **lent},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


def test_the_wheel_is_a_working_tool(installed: Path, wheel: Path, tmp_path: Path) -> None:
    said = json.loads(called(installed, tmp_path, "nexus", "version", "--json"))
    note = json.loads(zipfile.ZipFile(wheel).read("nexus/build.json"))
    assert (said["version"], said["commit"], said["date"]) == (nexus.__version__, note["commit"], note["date"])
    jsonschema.validate(said, json.loads((ROOT / "schemas" / "version.schema.json").read_text()))
    for program in (["nexus"], ["nexus-e2b"], ["python", "-m", "nexus"]):
        assert called(installed, tmp_path, *program, "--version").startswith(f"nexus, version {nexus.__version__}\n")
    listed = called(installed, tmp_path, "nexus", "init", "--list")
    assert [
        path.parent.name for path in (ROOT / "examples").glob("*/nexus.yaml") if path.parent.name not in listed
    ] == []
    for name in ("quickstart", "gitops"):
        project = tmp_path / name
        called(installed, tmp_path, "nexus", "-C", str(project), "init", name)
        assert "is valid" in called(installed, project, "nexus", "validate")
    schema = (tmp_path / "quickstart" / "nexus.yaml").read_text().splitlines()[0].rpartition("=file://")[2]
    assert schema.startswith(str(installed.parent)), "the schema in the installation"
    assert json.loads(Path(schema).read_text())["title"]
    assert "sandbox" in called(installed, tmp_path / "quickstart", "nexus", "graph", "--no-plan")
    assert "unknown-field" in called(installed, tmp_path, "nexus", "explain", "unknown-field")
    where = called(installed, tmp_path, "python", "-c", "import nexus; print(nexus.__file__)")
    assert where.startswith(str(installed.parent))


@pytest.mark.catalogue
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", PYTHONS)
def test_the_wheel_and_what_pip_fetches_for_it_apply_a_project(name: str, wheel: Path, tmp_path: Path) -> None:
    python = shutil.which(name)
    if python is None or subprocess.run([python, "--version"], capture_output=True).returncode != 0:
        pytest.skip(f"there is no {name}")
    subprocess.run([python, "-m", "venv", str(tmp_path / "venv")], check=True, timeout=120)
    binaries = tmp_path / "venv" / "bin"
    subprocess.run([str(binaries / "pip"), "install", "--quiet", str(wheel)], check=True, timeout=600)
    use(tmp_path, [str(binaries / "nexus")])


@pytest.mark.catalogue
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    "program",
    [["pipx", "run", "--spec", "WHEEL", "nexus"], ["uvx", "--from", "WHEEL", "nexus"], ["uvx", "WHEEL"]],
    ids=" ".join,
)
def test_the_runners_of_python_programs_run_it(program: list[str], wheel: Path, tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "tools")], check=True, timeout=120)
    binaries = tmp_path / "tools" / "bin"
    subprocess.run([str(binaries / "pip"), "install", "--quiet", "pipx", "uv"], check=True, timeout=600)
    command = [str(wheel) if word == "WHEEL" else word for word in program]
    use(tmp_path, [str(binaries / command[0]), *command[1:]])


def use(scratch: Path, command: list[str]) -> None:
    """Begin a project, apply it on an engine of its own, and take all of it down."""
    environment = {
        **{
            name: text
            for name, text in os.environ.items()
            if not name.startswith(("E2B_", "NEXUS_", "PYTHON", "PIPX_"))
        },
        "NEXUS_HOME": str(scratch / "home"),
        "PIPX_HOME": str(scratch / "pipx"),
        "NEXUS_TARGET": "local",
    }

    def nexus(*arguments: str) -> str:
        words = [*command, "-C", str(scratch / "project"), *arguments]
        done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=600)
        assert done.returncode == 0, f"{words}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    try:
        nexus("init")
        nexus("apply", "--auto-approve")
        nexus("plan", "--detailed-exitcode")
        assert "server.py" in nexus("exec", "web", "--", "ls app")
        nexus("destroy", "--auto-approve")
    finally:
        nexus("local", "reset", "--auto-approve")
