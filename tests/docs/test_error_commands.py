"""The commands on the page of errors, typed into a project where nothing is wrong: each can be typed as it stands.

Whether one succeeds depends on the error that it is about. None may be misunderstood, and none may be a bug.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.pages import ROOT, Block, Command, blocks, commands
from tests.docs.sessions import answers_to

PAGE = ROOT / "docs" / "errors.md"
MANIFEST = """\
apiVersion: nexus/v1
project: errors
variables: {region: {default: eu}}
environments: {prod: {region: us}}
secrets: {OPENAI_API_KEY: {env: HOME}}
templates:
  web: {base_template: base}
sandboxes:
  web: {template: "${{ template.web }}"}
  worker: {template: base, for_each: [eu]}
  old: {template: base}
pipelines:
  etl:
    steps:
      extract: {sandbox: web, run: echo extracted}
      load: {sandbox: web, needs: [extract], run: echo loaded}
"""
WHAT_IS_NOT_HERE = ("does not exist", "No such file")
"""Files that a reader would have."""

FROM_OUTSIDE = ("pip install",)
"""Commands that would fetch something."""


def once() -> list[tuple[Block, Command]]:
    """Every command of the page, the first time that it stands there."""
    found: dict[str, tuple[Block, Command]] = {}
    for block in blocks(PAGE):
        for command in commands(block) if block.language == "console" else ():
            if not command.text.startswith(FROM_OUTSIDE):
                found.setdefault(command.text, (block, command))
    return list(found.values())


@pytest.mark.engine
@pytest.mark.thorough
def test_every_command_can_be_typed(engine_home: Path, tmp_path: Path, programs: Path) -> None:
    (tmp_path / "nexus.yaml").write_text(MANIFEST)
    answers = answers_to(once(), tmp_path, engine_home, programs, apart=True)
    assert len(answers) == len(once())
    for answer in answers:
        said = f"{answer.block}: $ {answer.command.text}\n{answer.text}"
        assert "error[bug]" not in answer.text, said
        assert answer.code != 2 or any(words in answer.text for words in WHAT_IS_NOT_HERE), said
