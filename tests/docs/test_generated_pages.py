"""What the pages have from the code's own tables is what the code says today."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from docs.generate import PARTS, renewed
from nexus import manifest
from nexus.kinds.registry import KINDS

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs").glob("*.md"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
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


def test_the_manifests_in_the_pages_are_yaml_that_nexus_accepts(tmp_path: Path) -> None:
    for page in (*PAGES, ROOT / "README.md"):
        for block in re.findall(r"```yaml\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
            head = "" if "apiVersion" in block else "apiVersion: nexus/v1\nproject: sample\n"
            assert yaml.safe_load(block)
            (tmp_path / "nexus.yaml").write_text(head + block)
            assert not manifest.read(tmp_path).diagnostics


LINKING = (*PAGES, ROOT / "README.md", ROOT / "ARCHITECTURE.md", *sorted((ROOT / "examples").rglob("*.md")))


@pytest.mark.parametrize("page", LINKING, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?://)([^)#]+)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target
