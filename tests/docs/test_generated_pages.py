"""What the pages have from the code's own tables is what the code says today."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from docs.generate import PARTS, pages, renewed
from docs.pictures import drawings
from nexus.kinds.registry import KINDS

ROOT = Path(__file__).parents[2]
PAGES = pages()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_is_up_to_date(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert text == renewed(text), "run: make docs"


def test_every_generated_part_has_its_place() -> None:
    begun = re.findall(r"<!-- begin ([a-z-]+): generated -->", "".join(page.read_text() for page in PAGES))
    assert sorted(begun) == sorted(PARTS)


def test_every_field_of_every_kind_is_in_the_reference() -> None:
    reference = (ROOT / "docs" / "manifest.md").read_text(encoding="utf-8")
    for kind in KINDS.values():
        for field in kind.fields:
            if kind.section and not field.computed:
                assert f"| `{field.name}` |" in reference


def test_every_picture_is_what_is_drawn_today() -> None:
    drawn = dict(drawings())
    assert drawn.keys() == set((ROOT / "docs" / "pictures").glob("*.svg"))
    for path, drawing in drawn.items():
        assert path.read_text(encoding="utf-8") == drawing, f"{path.name}: run: make docs"
