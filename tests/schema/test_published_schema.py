"""The published JSON Schema says what the check says."""

from pathlib import Path

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nexus import manifest
from nexus.kinds.registry import KINDS
from nexus.schema import check_value, manifest_schema, manifest_schema_text
from nexus.schema.sections import SECTIONS
from nexus.schema.walking import Walk

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
VALIDATOR = jsonschema.Draft202012Validator(manifest_schema())


def test_the_committed_schema_is_the_generated_one():
    committed = (ROOT / "schemas" / "nexus.schema.json").read_text(encoding="utf-8")
    assert committed == manifest_schema_text(), "run: python -m nexus.schema"


def test_the_schema_is_a_valid_one():
    VALIDATOR.check_schema(manifest_schema())


@pytest.mark.parametrize("example", sorted(path.name for path in EXAMPLES.iterdir() if path.is_dir()))
def test_the_examples_fit_the_schema(example: str):
    assert [error.message for error in VALIDATOR.iter_errors(dict(manifest.read(EXAMPLES / example).values))] == []


def test_every_field_that_can_be_written_is_described():
    for kind in KINDS.values():
        for field in kind.fields:
            assert field.description.endswith((".", "…")), f"{kind.name}.{field.name}"


def test_every_example_of_a_field_fits_it():
    for kind in KINDS.values():
        for field in kind.fields:
            for example in field.schema.get("examples", []):
                if "${{" not in str(example):
                    assert check_value(field, example) is None, f"{kind.name}.{field.name}: {example}"


scalars = (
    st.none()
    | st.booleans()
    | st.integers(-2, 70_000)
    | st.sampled_from(
        ["", "python", "30m", "1GiB", "/app", "kill", "pause", "0644", "${{ vars.x }}", "8", "https://x", "change"]
    )
)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(
                ["path", "source", "content", "mode", "pip", "port", "url", "timeout", "file", "allow", "A", "/x"]
            ),
            inner,
            max_size=3,
        )
    ),
    max_leaves=6,
)


@pytest.mark.parametrize("section", ["sandboxes", "templates", "volumes"])
@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_the_check_and_the_schema_agree(section: str, data: st.DataObject):
    names = [name for name in SECTIONS[section].schema["properties"]]
    block = data.draw(st.dictionaries(st.sampled_from([*names, "unknown"]), values, max_size=3))
    walk = Walk(depth=2)
    walk.check(SECTIONS[section].schema, block, (section, "web"))
    whole = {"apiVersion": "nexus/v1", "project": "p", section: {"web": block}}
    assert VALIDATOR.is_valid(whole) == (not walk.findings), walk.findings
