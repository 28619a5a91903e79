"""The hand-written pages of the reference leave nothing out, and name nothing that is not there."""

from __future__ import annotations

import re

from nexus.local.settings import CERTIFICATE_VARIABLES
from tests.docs.pages import ROOT

SETTINGS = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
PROMISES = (ROOT / "docs" / "promises.md").read_text(encoding="utf-8")
SOURCES = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "nexus").rglob("*.py"))
NO_VARIABLES = {"E2B_RATES"}
"""Names in the code that look like it."""


def named(pattern: str, text: str) -> set[str]:
    return set(re.findall(pattern, text)) - NO_VARIABLES


def test_every_variable_of_nexus_in_the_code_is_in_the_settings() -> None:
    ours = named(r"(?<![A-Z])_?(?:NEXUS|E2B)_[A-Z0-9_]*[A-Z0-9]", SOURCES)
    missing = {name for name in ours if not re.search(rf"`{name}[`_=]", SETTINGS)}
    assert not missing, "describe them in docs/settings.md"


def test_every_variable_that_is_looked_up_is_in_the_settings() -> None:
    looked_up = named(r"environ(?:ment)?(?:\.get\(|\[)\"([A-Z][A-Z0-9_]+)\"", SOURCES) | set(CERTIFICATE_VARIABLES)
    internal = {"PYTHONPATH"}  # handed on, so that the daemon finds the same code
    assert {name for name in looked_up - internal if f"`{name}`" not in SETTINGS} == set()


def test_every_variable_of_the_settings_is_in_the_code() -> None:
    rows = re.findall(r"^\| (`.+?`) \|", SETTINGS, re.MULTILINE)
    listed = {name for row in rows for name in re.findall(r"`(_?[A-Z][A-Z0-9_]+)`", row)}
    by_libraries = {"COLUMNS", "GOOGLE_APPLICATION_CREDENTIALS"}
    stems = {re.sub(r"_\d+$", "_", name) for name in listed}
    assert {name for name in stems - by_libraries if name not in SOURCES} == set()


def test_every_test_that_shows_a_promise_is_there() -> None:
    shown = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PROMISES)
    assert len(shown) > 25
    for path, name in shown:
        assert re.search(rf"def {name}\(", (ROOT / path).read_text(encoding="utf-8")), f"{path}::{name}"


def test_every_row_of_the_promises_names_a_proof() -> None:
    rows = [
        line for line in PROMISES.splitlines() if line.startswith("| ") and not line.startswith(("| promise", "| -"))
    ]
    assert all("::test_" in row or "import contract" in row for row in rows if row.count("|") == 4)
