"""``python docs/generate.py`` brings the generated parts of these pages up to date: what stands between the marks.

It draws the pictures anew, too.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

if __name__ == "__main__":  # started as a script, its own folder is looked in, and not the one above
    sys.path.insert(0, str(Path(__file__).parents[1]))

from docs.pictures import drawings
from nexus.api import reference as python
from nexus.cli.reference import commands_reference
from nexus.expressions.functions import CEL_FUNCTIONS, FUNCTIONS
from nexus.kinds.definitions import DEFINITIONS
from nexus.mcp.reference import tools_reference, tools_table
from nexus.model.error_codes import PUBLISHED, ErrorCode
from nexus.render.explanations import explanations, introductions
from nexus.schema import reference

FOLDER = Path(__file__).parent
_PART = re.compile(r"(<!-- begin (?P<name>[a-z-]+): generated -->\n).*?(<!-- end -->)", re.DOTALL)


def functions_table() -> str:
    rows = [f"| `{function.signature}` | {function.help} |\n" for function in FUNCTIONS.values()]
    brought = ", ".join(f"`{name}`" for name in sorted(CEL_FUNCTIONS, key=str.lower))
    return "".join(["| function | meaning |\n| --- | --- |\n", *rows, f"\nCEL brings {brought}.\n"])


def catalogue_table() -> str:
    lines = ["| template | what it is | bare packages go to |\n| --- | --- | --- |\n"]
    managers = {"python": "pip", "node": "npm", "base": "apt"}
    for item in DEFINITIONS.values():
        names = ", ".join(f"`{name}`" for name in (item.name, *item.aliases))
        lines.append(f"| {names} | {item.description} | {managers[item.language]} |\n")
    return "".join(lines)


def errors_pages() -> str:
    parts: list[str] = []
    for group, words in introductions().items():
        pages = [item for item in explanations() if item.group == group]
        listed = ", ".join(f"[`{item.code}`](#{item.code})" for item in pages)
        parts += [f"## {group}", words, listed, *(f"### {item.code}\n\n{item.text.strip()}" for item in pages)]
    return "\n\n".join(parts) + "\n"


def error_codes_table() -> str:
    rows = ["| published code | stands for |\n| --- | --- |\n"]
    for published in ErrorCode:
        own = ", ".join(f"[`{code}`](#{code})" for code, found in PUBLISHED.items() if found is published)
        rows.append(f"| `{published}` | {own} |\n")
    return "".join(rows)


PARTS: Mapping[str, Callable[[], str]] = {
    "keys": reference.sections_table,
    "import": lambda: reference.list_table("import"),
    "removed": lambda: reference.list_table("removed"),
    "provider": lambda: reference.head_table("provider"),
    "state": lambda: reference.head_table("state"),
    "variables": lambda: reference.section_table("variables"),
    "secrets": lambda: reference.section_table("secrets"),
    "outputs": lambda: reference.section_table("outputs"),
    "policies": lambda: reference.section_table("policies"),
    "shipped-rules": reference.shipped_rules_table,
    "sandbox": lambda: reference.kind_table("sandbox"),
    "template": lambda: reference.kind_table("template"),
    "step": lambda: reference.kind_table("step"),
    "blocks": lambda: reference.meta_table("sandbox", "template", "volume"),
    "step-blocks": lambda: reference.meta_table("step"),
    "changes": reference.changes_table,
    "catalogue": catalogue_table,
    "functions": functions_table,
    "commands": commands_reference,
    "errors": errors_pages,
    "python-functions": python.functions_reference,
    "python-project": python.project_reference,
    "python-sandbox": python.sandbox_reference,
    "python-data": python.data_reference,
    "python-events": python.events_reference,
    "mcp-tools": tools_table,
    "mcp-reference": tools_reference,
    "error-codes": error_codes_table,
}


def pages() -> list[Path]:
    return sorted(FOLDER.rglob("*.md"))


def renewed(page: str) -> str:
    """The page with all its generated parts made anew."""
    return _PART.sub(lambda match: f"{match[1]}{PARTS[match['name']]()}{match[3]}", page)


def main() -> None:
    for path in pages():
        path.write_text(renewed(path.read_text(encoding="utf-8")), encoding="utf-8")
    for path, drawing in drawings():
        path.write_text(drawing, encoding="utf-8")


if __name__ == "__main__":
    main()
