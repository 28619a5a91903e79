"""Every workflow and pipeline that nexus gives away is one that its forge takes: linted, and by its own schema."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.npm import installed

ROOT = Path(__file__).parents[2]
RECIPES = ROOT / "nexus" / "cli" / "recipes"
GITHUB = (
    RECIPES / "github.yml",
    RECIPES / "check.github.yml",
    ROOT / "examples/gitops/.github/workflows/environments.yml",
)


def linted(*paths: Path) -> str:
    folder = Path(__file__).parent / "validator"
    command = ["node", str(folder / "lint.cjs"), str(installed(folder)), *map(str, paths)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout


def fits(schema: str, path: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, str(path)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_actionlint_has_nothing_to_say_of_workflows() -> None:
    assert linted(*GITHUB) == ""


def test_what_actionlint_says_of_a_wrong_workflow(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.yml"
    wrong.write_text(GITHUB[0].read_text().replace("github.event_name", "github.event_nme", 1))
    assert "event_nme" in linted(wrong)


@pytest.mark.parametrize(
    ("schema", "path"),
    [("vendor.gitlab-ci", RECIPES / "gitlab.yml"), *(("vendor.github-workflows", path) for path in GITHUB)],
    ids=lambda value: value.name if isinstance(value, Path) else value,
)
def test_it_fits_the_schema_of_its_forge(schema: str, path: Path) -> None:
    done = fits(schema, path)
    assert done.returncode == 0, done.stdout


def test_what_the_schema_says_of_a_wrong_pipeline(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.yml"
    wrong.write_text((RECIPES / "gitlab.yml").read_text().replace("when: always", "when: evermore"))
    assert fits("vendor.gitlab-ci", wrong).returncode == 1


def test_the_action_and_the_recipe_write_the_comment_in_the_same_way() -> None:
    action = yaml.safe_load((ROOT / "action.yml").read_text())["runs"]["steps"]
    recipe = yaml.safe_load(GITHUB[0].read_text())["jobs"]["plan"]["steps"]
    (of_action,) = [step for step in action if step.get("name") == "Comment"]
    (of_recipe,) = [step for step in recipe if step.get("name") == "Comment"]
    assert of_action["run"] == of_recipe["run"]
    assert of_action["env"].keys() - {"ENVIRONMENT"} == of_recipe["env"].keys(), "the recipe's is of the whole workflow"
