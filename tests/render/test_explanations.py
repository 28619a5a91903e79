"""Every code that nexus can show has a page, and every page is about one."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from nexus.model.diagnostics import DiagnosticsError, error, warning
from nexus.model.error_codes import PUBLISHED
from nexus.render.diagnostics import print_diagnostics
from nexus.render.explanations import (
    Explanation,
    explanation_of,
    explanations,
    introductions,
    print_explanation,
    print_index,
)
from tests.render.conftest import Screen

SOURCE = Path(__file__).parents[2] / "nexus"
CODE = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
MAKERS = {"error", "warning", "failure", "Diagnostic", "fail", "warn", "refused"}
"""Functions that are given a code, first or second; so are private helpers, whose name begins with an underscore."""
NO_CODES = {"utf-8"}


def modules() -> Iterator[tuple[Path, ast.Module]]:
    for path in SOURCE.rglob("*.py"):
        if SOURCE / "local" not in path.parents:
            yield path, ast.parse(path.read_text(encoding="utf-8"))


def codes_in(tree: ast.Module) -> Iterator[str]:
    """Patterns of the codes that diagnostics are made with."""
    for call in ast.walk(tree):
        if not isinstance(call, ast.Call):
            continue
        name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
        keyed = [keyword.value for keyword in call.keywords if keyword.arg == "code"]
        given = call.args[:2] if name in MAKERS or name.startswith("_") else []
        for value in [*keyed, *given]:
            yield from patterns(value, loose=value not in keyed and name not in ("error", "warning", "failure"))


def patterns(value: ast.expr, *, loose: bool) -> Iterator[str]:
    match value:
        case ast.Constant(value=str(text)) if CODE.fullmatch(text) and ("-" in text or not loose):
            yield re.escape(text)
        case ast.JoinedStr(values=[ast.FormattedValue(), ast.Constant(value=str(text))]) if re.fullmatch(
            "(-[a-z]+)+", text
        ):
            yield rf"[a-z]+{re.escape(text)}"
        case ast.IfExp(body=body, orelse=orelse):
            yield from patterns(body, loose=loose)
            yield from patterns(orelse, loose=loose)


KNOWN = {item.code for item in explanations()}


def test_every_code_in_the_source_has_a_page() -> None:
    missing = {
        f"{pattern} ({path.relative_to(SOURCE)})"
        for path, tree in modules()
        for pattern in codes_in(tree)
        if pattern.replace("\\", "") not in NO_CODES and not any(re.fullmatch(pattern, code) for code in KNOWN)
    }
    assert not missing, "write a page for each in nexus/render/explanations"
    assert PUBLISHED.keys() <= KNOWN


def test_the_scan_finds_codes_however_they_are_given() -> None:
    found = {pattern.replace("\\", "") for _, tree in modules() for pattern in codes_in(tree)}
    assert {"unknown-field", "state-locked", "no-answer", "not-observed", "duplicate-key", "[a-z]+-failed"} <= found
    assert len(found) > 120


def test_every_page_is_about_a_code_of_the_source() -> None:
    texts = "\n".join(path.read_text(encoding="utf-8") for path, _ in modules())
    made = {"volume-not-found", "precondition", "postcondition"}
    for code in KNOWN:
        if not code.startswith(tuple(made)) and code != "bug":
            assert f'"{code}"' in texts, code


@pytest.mark.parametrize("page", explanations(), ids=lambda page: page.code)
def test_a_page_says_what_it_means_shows_an_example_and_how_to_mend_it(page: Explanation) -> None:
    meaning, fence, rest = page.text.partition("```")
    assert fence, "an example is missing"
    assert len(meaning.strip()) > 30
    assert page.text.count("```") == 2
    assert "**To mend it:**" in rest
    assert len(page.text) < 1200, "a page is short"


def test_no_code_is_explained_twice() -> None:
    assert len(KNOWN) == len(explanations())


def test_every_group_has_an_introduction() -> None:
    assert set(introductions()) == {item.group for item in explanations()}
    assert all(introductions().values())


def test_a_code_is_found_however_it_is_written() -> None:
    assert explanation_of("SANDBOX_NOT_FOUND").code == "sandbox-not-found"
    assert explanation_of(" unknown-field ").code == "unknown-field"


def test_a_code_that_there_is_not_names_the_nearest() -> None:
    with pytest.raises(DiagnosticsError) as raised:
        explanation_of("unknwn-feild")
    assert raised.value.diagnostics[0].hint == "did you mean «unknown-field»?"


def test_a_page_in_a_terminal_fits_its_width(screen: Screen) -> None:
    for page in explanations():
        console, stream = screen(80, color=True)
        print_explanation(console, page)
        sentences = [line for line in stream.getvalue().splitlines() if not line.startswith("    ")]
        assert max(map(len, sentences)) <= 80
        assert "```" not in stream.getvalue()
        assert "**" not in "".join(sentences)


def test_the_index_has_every_code_once(screen: Screen) -> None:
    console, stream = screen(100)
    print_index(console)
    lines = [line.split()[0] for line in stream.getvalue().splitlines() if line.startswith("  ")]
    assert sorted(lines) == sorted(KNOWN)


def test_messages_name_the_command_that_explains_them(screen: Screen) -> None:
    console, stream = screen(100)
    problems = [warning("long-timeout", "w"), error("unknown-field", "a"), error("unknown-field", "b")]
    print_diagnostics(console, problems, lambda _: None)
    assert stream.getvalue().endswith("More about these: nexus explain unknown-field; nexus explain long-timeout\n")


def test_nothing_is_said_of_codes_without_a_page(screen: Screen) -> None:
    console, stream = screen(100)
    print_diagnostics(console, [error("no-such-code", "a")], lambda _: None)
    assert "explain" not in stream.getvalue()
