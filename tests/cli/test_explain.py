"""What codes mean, from the command line."""

from __future__ import annotations

import pytest

from tests.cli.conftest import Nexus

pytestmark = pytest.mark.engine


def test_a_message_leads_to_its_page(nexus: Nexus) -> None:
    nexus.write("sandboxes:\n  web: {tempalte: base}\n")
    refused = nexus("validate")
    assert refused.code == 1
    assert "nexus explain unknown-field" in refused.err
    page = nexus.ok("explain", "unknown-field")
    assert "To mend it:" in page.out
    assert "tempalte" in page.out


def test_all_codes_are_listed_where_there_is_no_project(nexus: Nexus) -> None:
    listed = nexus.ok("explain").out
    assert "state-locked" in listed
    assert "unknown-field" in listed


def test_an_unknown_code_names_the_nearest(nexus: Nexus) -> None:
    refused = nexus("explain", "state-loked")
    assert refused.code == 1
    assert "did you mean «state-locked»?" in refused.err
