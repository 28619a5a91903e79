"""What the pages show of commands is what happens when these are typed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

import nexus
from nexus.local.daemon import Endpoint
from tests.docs.likeness import alike
from tests.docs.pages import PAGES, README, ROOT, name_of
from tests.docs.sessions import Answer, played, steps

TYPED = [page for page in PAGES if page != README and any(command for _, command in steps(page))]
"""The README has a test of its own: it begins with a clone."""

FROM_NOTHING = {"docs/tutorial.md"}
"""Pages that begin on an engine without the template that all others find built already."""

WITH_ALL_OUTPUT = {"docs/tutorial.md"}
PICTURES = ROOT / "docs" / "pictures"
REMEDY = "look, then run: pytest tests/docs/test_sessions.py --update-golden; make docs"


@pytest.fixture(scope="module")
def used_engine(engine: Endpoint, tmp_path_factory: pytest.TempPathFactory) -> Endpoint:
    """The session's engine, on which something was applied before."""
    folder = tmp_path_factory.mktemp("before")
    (folder / "nexus.yaml").write_text("apiVersion: nexus/v1\nproject: before\nsandboxes: {first: {}}\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NEXUS_HOME", str(engine.home))
        project = nexus.load(folder, target="local")
        project.apply()
        project.destroy()
    return engine


@pytest.mark.engine
@pytest.mark.parametrize("page", TYPED, ids=name_of)
def test_a_page_shows_what_its_commands_say(
    page: Path, tmp_path: Path, programs: Path, request: pytest.FixtureRequest
) -> None:
    fresh = name_of(page) in FROM_NOTHING
    home = request.getfixturevalue("engine_home") if fresh else request.getfixturevalue("used_engine").home
    folder = tmp_path / page.stem
    folder.mkdir()
    answers = played(page, folder, home, programs)
    if request.config.getoption("--update-golden"):
        _renew(page, answers)
        return
    other = [item for item in answers if not _is_as_shown(item)]
    assert not other, "\n".join([REMEDY, *(f"{item.block}: $ {item.command.text}\n{item.text}\n" for item in other)])
    drawn = {name: text for name, text in _recordings(answers).items() if not _is_recorded(name, text)}
    assert not drawn, REMEDY


@pytest.mark.engine
def test_every_file_that_a_project_and_the_engine_have_is_on_the_page_of_files(
    used_engine: Endpoint, tmp_path: Path
) -> None:
    page = (ROOT / "docs" / "files.md").read_text(encoding="utf-8")
    (tmp_path / "nexus.yaml").write_text("apiVersion: nexus/v1\nproject: files\nsandboxes: {first: {}}\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NEXUS_HOME", str(used_engine.home))
        project = nexus.load(tmp_path, target="local")
        project.apply()
        ours = {str(path.relative_to(tmp_path)) for path in (tmp_path / ".nexus").glob("*")}
        ours |= {str(path.relative_to(tmp_path)) for path in (tmp_path / ".nexus" / "default").glob("*")}
        project.destroy()
    named = {name.replace("default", "ENVIRONMENT") for name in ours - {".nexus/default"}}
    named |= {path.name for path in used_engine.home.iterdir()}
    assert {name for name in named if f"`{name}" not in page} == set()


def _is_as_shown(answer: Answer) -> bool:
    """A page need not show what a command says, unless it shows everything."""
    if not answer.command.shown and name_of(answer.block.page) not in WITH_ALL_OUTPUT:
        return True
    return alike(answer.command.shown, answer.text)


def _recordings(answers: Sequence[Answer]) -> dict[str, str]:
    """By name of a picture, what its commands showed."""
    found: dict[str, str] = {}
    for answer in answers:
        if name := answer.block.notes.get("picture"):
            said = f"\x1b[1m$ {answer.command.text}\x1b[0m\n{answer.ansi}\n"
            found[name] = f"{found[name]}\n{said}" if name in found else said
    return found


def _is_recorded(name: str, text: str) -> bool:
    path = PICTURES / f"{name}.ansi"
    return path.exists() and alike(path.read_text(encoding="utf-8"), text)


def _renew(page: Path, answers: Sequence[Answer]) -> None:
    """Write into the page what was shown in truth, and keep recordings for its pictures, where they differ."""
    lines = page.read_text(encoding="utf-8").splitlines()
    for answer in reversed([item for item in answers if not _is_as_shown(item)]):
        first = answer.command.line
        lines[first : first + answer.command.lines] = answer.text.splitlines()
    page.write_text("\n".join(lines) + "\n", encoding="utf-8")
    for name, text in _recordings(answers).items():
        if not _is_recorded(name, text):
            (PICTURES / f"{name}.ansi").write_text(text, encoding="utf-8")
