"""Every block of every page is tried: manifests are checked, commands typed, or a comment says why not."""

from __future__ import annotations

import json
import os
import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import jsonschema
import pytest
from mcp import Client, StdioServerParameters, stdio_client

from nexus.cli.main import root
from nexus.model.diagnostics import DiagnosticsError
from nexus.workflows.loading import LoadRequest, load
from tests.docs.frames import read, write_project
from tests.docs.pages import PAGES, ROOT, Block, blocks, commands, name_of

ALL = [block for page in PAGES for block in blocks(page)]
LANGUAGES = {"console", "yaml", "json", "python", "text", "toml", "dockerfile", "ini"}
"""Shell is written as «console», with prompts, so that what is typed and what is answered are told apart."""

MANIFESTS = [
    block
    for block in ALL
    if block.language == "yaml" and not block.notes.keys() & {"not run", "document", "file", "append"}
]
DOCUMENTS = [block for block in ALL if "document" in block.notes]
PROGRAMS = {"docs/python.md", "README.md"}
"""Pages whose Python is run by tests of their own."""


def test_every_block_has_a_language_that_says_how_it_is_tried() -> None:
    assert [str(block) for block in ALL if block.language not in LANGUAGES] == []


def test_a_block_that_is_not_tried_says_why() -> None:
    """Console blocks without a reason are typed; manifests without one are checked; Python is saved, then run."""
    for block in ALL:
        assert len(block.notes.get("not run", "a reason in words")) > 10, f"{block}: why is it not run?"
        if block.language == "python" and name_of(block.page) not in PROGRAMS:
            assert block.notes.keys() & {"file", "append", "not run"}, (
                f"{block}: neither a file of the project nor a reason"
            )
        if block.notes.keys() & {"file", "append"}:
            typed = [other for other in ALL if other.page == block.page and other.language == "console"]
            assert typed, f"{block}: a file of a project that no command works on"


@pytest.mark.parametrize("block", MANIFESTS, ids=str)
def test_a_manifest_is_right_or_shows_the_error_that_it_is_about(block: Block, tmp_path: Path) -> None:
    write_project(block, tmp_path)
    try:
        found = load(LoadRequest(path=tmp_path)).diagnostics
    except DiagnosticsError as problem:
        found = problem.diagnostics
    assert {item.code for item in found} <= {block.heading}, [item.summary for item in found]


@pytest.mark.parametrize("block", DOCUMENTS, ids=str)
def test_another_document_fits_its_schema(block: Block) -> None:
    schema = json.loads((ROOT / "schemas" / f"{block.notes['document']}.schema.json").read_text())
    jsonschema.validate(read(block.text), schema)


@pytest.mark.parametrize("block", [item for item in ALL if item.language == "json"], ids=str)
def test_json_can_be_read(block: Block) -> None:
    json.loads(block.text)


CLIENTS = [block for block in ALL if block.language == "json" and "mcpServers" in block.text]


@pytest.mark.parametrize("block", CLIENTS, ids=str)
async def test_a_client_of_agents_gets_the_tools_by_what_a_page_says(block: Block, tmp_path: Path) -> None:
    shown = json.loads(block.text)["mcpServers"]["nexus"]
    assert shown["command"] == "nexus"
    arguments = ["-m", "nexus", *(str(tmp_path) if word == "/path/to/project" else word for word in shown["args"])]
    server = StdioServerParameters(command=sys.executable, args=arguments, env=dict(os.environ))
    async with Client(stdio_client(server)) as client:
        names = {tool.name for tool in (await client.list_tools()).tools}
    assert "plan" in names
    assert ("apply" in names) is ("--read-only" not in arguments)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_commands_and_their_options_are_there(page: Path) -> None:
    """Also those that are not typed, and those of continuous integration."""
    for block in blocks(page):
        for line in _shell_lines(block):
            for words in _simple_commands(line):
                if words[:1] == ["nexus"]:
                    assert _parses(words[1:]), f"{block}: {' '.join(words)}"


def _shell_lines(block: Block) -> Iterator[str]:
    if block.language == "console":
        yield from (command.text for command in commands(block))
    if block.language == "yaml" and block.notes.get("not run"):
        yield from re.findall(r"^\s*-? *run: (nexus .*)$", block.text, re.MULTILINE)


def _simple_commands(line: str) -> Iterator[list[str]]:
    lexer = shlex.shlex(line.partition("<<")[0], posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    words: list[str] = []
    for word in lexer:
        if set(word) <= set("|&;()<>"):
            yield words
            words = []
        elif not (not words and re.fullmatch(r"[A-Z_]+=.*", word)):
            words.append(word)
    yield words


def _parses(arguments: list[str]) -> bool:
    """Whether the command line would take these words. Files that they name need not be there."""
    command: click.Command = root
    context = None
    while True:
        try:
            context = command.make_context(command.name, arguments, parent=context)
        except click.exceptions.Exit:  # --version, --help
            return True
        except click.BadParameter as problem:
            return "does not exist" in problem.message
        except click.UsageError:
            return False
        rest = [*context._protected_args, *context.args]
        if not isinstance(command, click.Group) or not rest:
            return True
        _, found, arguments = command.resolve_command(context, rest)
        assert found is not None
        command = found
