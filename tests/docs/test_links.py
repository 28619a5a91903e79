"""Links between pages lead somewhere: to files that are there, and to headings that these have."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from urllib.parse import unquote

import pytest

from tests.docs.pages import PAGES, ROOT, name_of

LINKING = (*PAGES, ROOT / "ARCHITECTURE.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "examples").rglob("*.md")))
_FENCED = re.compile(r"^( *)```.*?^\1```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)\s]+)\)")


def links(page: Path) -> Iterator[tuple[Path, str]]:
    """The links of a page within the repository: a file, and the heading in it that is meant."""
    for target in _LINK.findall(_FENCED.sub("", page.read_text(encoding="utf-8"))):
        if not re.match(r"[a-z]+:", target):
            path, _, anchor = unquote(target).partition("#")
            yield (page.parent / path).resolve() if path else page, anchor


@cache
def anchors(page: Path) -> frozenset[str]:
    """What the headings of a page are called in links, by the rules of GitHub."""
    text = _FENCED.sub("", page.read_text(encoding="utf-8"))
    names = [_anchor(title) for title in re.findall(r"^#{1,6} (.+)$", text, re.MULTILINE)]
    before: Counter[str] = Counter()
    found = set()
    for name in names:
        found.add(f"{name}-{before[name]}" if before[name] else name)
        before[name] += 1
    return frozenset(found)


def _anchor(title: str) -> str:
    plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", title).replace("`", "")
    return re.sub(r"[^\w\- ]", "", plain.strip().lower()).replace(" ", "-")


@pytest.mark.parametrize("page", LINKING, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    for target, anchor in links(page):
        assert target.exists(), target
        if anchor and target.suffix == ".md":
            assert anchor in anchors(target), f"{name_of(target)} has no heading #{anchor}"


def test_every_page_is_reached_from_the_index() -> None:
    index = ROOT / "docs" / "README.md"
    reached = {target for target, _ in links(index)}
    assert {page for page in PAGES if page != index} <= reached
    assert index in {target for target, _ in links(ROOT / "README.md")}
