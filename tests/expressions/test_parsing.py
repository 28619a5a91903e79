"""Strings of the manifest become expressions, with what is wrong said at its place."""

from __future__ import annotations

import pytest

from nexus.expressions import interpret, parse
from nexus.model.addresses import Address
from nexus.model.diagnostics import Diagnostics, SourcePos, SourceRange
from nexus.model.expressions import ANY_KEY, Expression, Reference


def parsed(text: str) -> Expression:
    found = Diagnostics()
    result = parse(text, None, found)
    assert not found.items, found.items
    assert isinstance(result, Expression)
    return result


def problems(text: str, scalar: SourceRange | None = None) -> Diagnostics:
    found = Diagnostics()
    parse(text, scalar, found)
    return found


def references(source: str) -> tuple[Reference, ...]:
    interpolation, found = interpret(source)
    assert not found, found
    return interpolation.references


def sandbox(name: str, *path: str | int, key: str | None = None, dynamic: str | None = None) -> Reference:
    return Reference("sandbox", path, Address("sandbox", name, key), dynamic)


def test_text_without_an_expression_stays_itself() -> None:
    found = Diagnostics()
    assert parse("echo ${HOME} $$ {{ x }} }}", None, found) == "echo ${HOME} $$ {{ x }} }}"
    assert not found.items


def test_escaped_opening_is_literal_text() -> None:
    found = Diagnostics()
    assert parse("a $${{ vars.x }} b", None, found) == "a ${{ vars.x }} b"
    mixed = parse("$${{ ${{ vars.x }}", None, found)
    assert isinstance(mixed, Expression)
    assert mixed.parts[0] == "${{ "
    assert not found.items


def test_braces_in_strings_and_maps_do_not_end_an_expression() -> None:
    assert parsed("${{ '}}' + vars.x }}").is_whole
    assert parsed("${{ {'a': {'b': vars.x}}}}").is_whole
    assert [
        str(part) if isinstance(part, str) else part.source for part in parsed("<${{ vars.a }}-${{vars.b}}>").parts
    ] == [
        "<",
        "vars.a",
        "-",
        "vars.b",
        ">",
    ]


@pytest.mark.parametrize(
    ("text", "column"),
    [
        ("ab ${{ vars.x", 3),
        ("ab ${{ vars.x }", 3),
        ("ab ${{ 'x }}", 7),
        ("${{ varz.x }}", 4),
        ("${{ 1 + varz.x }}", 8),
        ("${{ 1 + }}", 7),
        ("${{ foo(1) }}", 4),
        ("${{ sandbox }}", 4),
        ("${{ }}", 4),
    ],
)
def test_what_is_wrong_is_reported_at_its_place(text: str, column: int) -> None:
    plain = SourceRange("nexus.yaml", SourcePos(7, 10), SourcePos(7, 10 + len(text)))
    quoted = SourceRange("nexus.yaml", SourcePos(7, 10), SourcePos(7, 12 + len(text)))
    for scalar, expected in ((plain, 10 + column), (quoted, 11 + column)):
        found = problems(text, scalar)
        assert len(found) == 1, found.items
        assert found.items[0].code == "expression-invalid"
        assert found.items[0].range is not None
        place = found.items[0].range.start
        assert place.line == 7
        # the place of an error at the very end may be the bracket that follows
        assert expected <= place.column <= expected + 1


def test_errors_in_block_scalars_name_the_line() -> None:
    text = "first\nsecond ${{ nope.x }}\n"
    found = problems(text, SourceRange("f.yaml", SourcePos(3, 5), SourcePos(6, 1)))
    assert found.items[0].range is not None
    assert found.items[0].range.start.line == 5


def test_unknown_names_come_with_the_nearest_known_one() -> None:
    assert "vars" in problems("${{ var.x }}").items[0].hint
    assert "sandbox" in problems("${{ sandbx.web.id }}").items[0].hint
    assert "sha256" in problems("${{ sha265('x') }}").items[0].hint


def test_hyphens_belong_to_names_of_resources() -> None:
    interpolation, found = interpret("sandbox.data-analysis.id + '-' + template.a-b.name")
    assert not found
    assert interpolation.program == """sandbox["data-analysis"].id + '-' + template["a-b"].name"""
    assert references("sandbox.data-analysis.id") == (sandbox("data-analysis", "id"),)
    assert references('sandbox["data-analysis"].id') == (sandbox("data-analysis", "id"),)


def test_names_of_steps_have_two_parts() -> None:
    (reference,) = references("step.my-etl.load-all.outputs.rows")
    assert reference == Reference("step", ("outputs", "rows"), Address("step", "my-etl.load-all"), None)
    assert interpret("step.my-etl.load-all.exit_code")[0].program == 'step["my-etl"]["load-all"].exit_code'


def test_subtraction_wants_spaces_after_a_name() -> None:
    assert references("sandbox.a.timeout - vars.b") == (sandbox("a", "timeout"), Reference("vars", ("b",)))
    _, found = interpret("sandbox.a.urls.api-v1")
    assert '["api-v1"]' in found[0].hint


def test_keys_are_literal_or_dynamic() -> None:
    assert references('sandbox.w["0"].id') == (sandbox("w", "id", key="0"),)
    assert references("sandbox.w[0].id") == (sandbox("w", "id", key="0"),)
    assert interpret("sandbox.w[0].id")[0].program == 'sandbox.w["0"].id'
    assert references("sandbox.w[each.key].id") == (
        sandbox("w", "id", dynamic="each.key"),
        Reference("each", ("key",)),
    )
    assert references("vars.list.map(k, sandbox.w[k].id)") == (
        Reference("vars", ("list",)),
        sandbox("w", "id", dynamic=ANY_KEY),
    )


def test_strings_comments_fields_functions_and_bound_variables_are_no_references() -> None:
    assert references("'sandbox.x.id' + \"vars.y\" // vars.z") == ()
    assert references("vars.list.map(x, x.vars)") == (Reference("vars", ("list",)),)
    assert references("vars.list.filter(v, v.size() > 1).map(v, v)") == (Reference("vars", ("list",)),)
    assert references("keys(vars.m)") == (Reference("vars", ("m",)),)
    assert references("{'secrets': vars.a}") == (Reference("vars", ("a",)),)
    assert references(r"'it\'s secrets.x' + vars.a") == (Reference("vars", ("a",)),)


def test_a_bound_variable_ends_with_its_brackets() -> None:
    _, found = interpret("vars.list.map(x, x) + x")
    assert len(found) == 1
    assert "«x»" in found[0].message


def test_paths_stop_at_methods() -> None:
    assert references("sandbox.a.urls.api.startsWith('http')") == (sandbox("a", "urls", "api"),)


def test_a_kind_word_can_not_be_a_comprehension_variable() -> None:
    _, found = interpret("vars.list.map(step, step.x)")
    assert found


def test_deep_nesting_is_an_error_not_a_crash() -> None:
    _, found = interpret("(" * 500 + "1" + ")" * 500)
    assert "deep" in found[0].message
