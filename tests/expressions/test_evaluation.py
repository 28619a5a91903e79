"""Expressions become values: types are kept, the unknown spreads, secrets stay hidden."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus.expressions import FUNCTIONS, Scope, parse, parse_tree, resolve
from nexus.model.addresses import Address
from nexus.model.diagnostics import Diagnostics, DiagnosticsError, error
from nexus.model.resources import Each
from nexus.model.state import Tree
from nexus.model.values import UNKNOWN, Sensitive, Value, has_sensitive


class Outputs:
    def __init__(self, known: Mapping[str, Value]) -> None:
        self.known = {Address.parse(text): value for text, value in known.items()}

    def outputs(self, address: Address) -> Value:
        if address in self.known:
            return self.known[address]
        instances = {a.key: v for a, v in self.known.items() if a.group == address and a.key is not None}
        if not instances:
            raise KeyError(address)
        return instances  # type: ignore[return-value]

    def fields(self, address: Address) -> Mapping[str, Value]:
        if address not in self.known:
            raise KeyError(address)
        return {"on_timeout": "kill"}


class Files:
    def text(self, path: str) -> str:
        if path != "a.txt":
            raise DiagnosticsError(error("file-missing", f"{path} does not exist"))
        return "content of a"

    def tree(self, source: str, exclude: Sequence[str]) -> tuple[str, Tree]:
        raise NotImplementedError

    def inline(self, content: str | bytes, mode: int, *, sensitive: bool = False) -> tuple[str, Tree]:
        raise NotImplementedError

    def content(self, digest: str, path: str) -> Iterator[bytes]:
        raise NotImplementedError


SCOPE = Scope(
    variables={"n": 3, "f": 1.5, "whole": 2.0, "s": "x", "yes": True, "list": [1, 2], "map": {"a": 1}, "none": None},
    secrets={"TOKEN": Sensitive("hunter2"), "NUMBER": Sensitive("12")},
    environment={"HOME": "/home/me"},
    files=Files(),
    each=Each("k1", {"size": 4}),
    resources=Outputs(
        {
            "sandbox.new": {"id": UNKNOWN, "name": "new", "urls": {"api": UNKNOWN}, "env": {"T": Sensitive("hunter2")}},
            "sandbox.old": {"id": "i1", "ports": {"api": 8000}, "urls": {"api": "http://x"}},
            'sandbox.w["0"]': {"id": "w0", "n": 0},
            'sandbox.w["1"]': {"id": UNKNOWN, "n": 1},
            "sandbox.data-x": {"id": "dx"},
        }
    ),
)


def value(text: str, scope: Scope = SCOPE) -> Value:
    found = Diagnostics()
    raw = parse(text, None, found)
    assert not found.items, found.items
    return resolve(raw, scope)


def failure(text: str, scope: Scope = SCOPE) -> str:
    with pytest.raises(DiagnosticsError) as caught:
        value(text, scope)
    (diagnostic,) = caught.value.diagnostics
    return f"{diagnostic.summary} {diagnostic.detail} {diagnostic.hint}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("${{ vars.n }}", 3),
        ("${{ vars.n + 1 }}", 4),
        ("${{ vars.list }}", [1, 2]),
        ("${{ vars.map }}", {"a": 1}),
        ("${{ vars.none }}", None),
        ("${{ vars.yes ? 'a' : 'b' }}", "a"),
        ("${{ {'a': [vars.n]} }}", {"a": [3]}),
        ("n=${{ vars.n }} f=${{ vars.f }} w=${{ vars.whole }} y=${{ vars.yes }}", "n=3 f=1.5 w=2 y=true"),
        ("${{ vars.list }}|${{ vars.map }}", '[1,2]|{"a":1}'),
        ("${{ each.key }}-${{ each.value.size * 2 }}", "k1-8"),
        ("${{ env.HOME }}/x", "/home/me/x"),
        ("${{ sandbox.old.urls.api }}/v1", "http://x/v1"),
        ("${{ sandbox.data-x.id }}", "dx"),
        ("${{ sandbox.w[0].id }}", "w0"),
        ("${{ sandbox.w[string(vars.n - 3)].id + '!' }}", "w0!"),
        ("${{ sandbox.w[vars.n - 3].id + '!' }}", "w0!"),
        ("${{ vars.list.map(i, sandbox.w[string(i - 1)].n) }}", [0, 1]),
        ("${{ sandbox.old.on_timeout }}", "kill"),
        ("${{ sandbox.w['0'].on_timeout + '!' }}", "kill!"),
        ("${{ has(vars.map.a) && !has(vars.map.b) }}", True),
        ("${{ file('a.txt') }}", "content of a"),
        ("${{ range(3) }}", [0, 1, 2]),
        ("${{ range(1, vars.n) }}", [1, 2]),
        ("${{ range(2).map(i, 'w' + string(i)) }}", ["w0", "w1"]),
        ("${{ join(['a', 1, true], '-') }}", "a-1-true"),
        ("${{ ['a', 'b'].join('+') }}", "a+b"),
        ("${{ 'a,b'.split(',') }}", ["a", "b"]),
        ("${{ base64('hé') }}", "aMOp"),
        ("${{ base64decode(base64('hé')) }}", "hé"),
        ("${{ sha256('') }}", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        ("${{ json({'b': 1, 'a': [null]}) == '{\"a\":[null],\"b\":1}' }}", True),
        ("${{ jsondecode('{\"a\": 1}').a }}", 1),
        ("${{ keys({'b': 1, 'a': 2}) }}", ["a", "b"]),
        ("${{ values({'b': 1, 'a': 2}) }}", [2, 1]),
        ("${{ merge({'a': 1}, {'a': 2, 'b': 3}) }}", {"a": 2, "b": 3}),
        ("${{ [min(3, 1), max([2, 5]), length('abc')] }}", [1, 5, 3]),
        ("${{ format('w-%03d-%s', 7, true) }}", "w-007-true"),
        ("${{ upper(trim(' a ')) + lower('B') + replace('aXa', 'X', '-') }}", "Aba-a"),
        ("${{ string(vars.yes) + string(vars.n) }}", "true3"),
        ("${{ size(vars.list) }}", 2),
    ],
)
def test_values(text: str, expected: Value) -> None:
    result = value(text)
    assert result == expected
    assert type(result) is type(expected)


@pytest.mark.parametrize(
    "text",
    [
        "${{ sandbox.new.id }}",
        "id=${{ sandbox.new.id }}",
        "${{ sandbox.new.urls.api.startsWith('h') }}",
        "${{ sandbox.w['1'].id + 'x' }}",
        "${{ values(sandbox.w) }}",
        "${{ vars.list.map(i, sandbox.w[string(i - 1)].id) }}",
        "${{ sandbox.w[sandbox.new.id].n }}-",
        "${{ secrets.ELSEWHERE + 'x' }}",
    ],
)
def test_what_depends_on_the_unknown_is_unknown(text: str) -> None:
    assert value(text) is UNKNOWN


def test_unknown_neighbours_do_not_spread() -> None:
    assert value("${{ sandbox.new.name + '!' }}") == "new!"
    assert value("${{ sandbox.w['1'].n + 1 }}") == 2


def test_bare_references_keep_structure_with_unknown_leaves() -> None:
    new = value("${{ sandbox.new }}")
    assert isinstance(new, dict)
    assert new["name"] == "new"
    assert new["id"] is UNKNOWN
    workers = value("${{ sandbox.w }}")
    assert isinstance(workers, dict)
    assert set(workers) == {"0", "1"}


@pytest.mark.parametrize(
    "text",
    [
        "${{ secrets.TOKEN }}",
        "Bearer ${{ secrets.TOKEN }}",
        "${{ sha256(secrets.TOKEN) }}",
        "${{ size(secrets.TOKEN) > 3 ? 'a' : 'b' }}",
        "${{ base64(secrets.TOKEN + vars.s) }}",
        "${{ sandbox.new.env.T + '!' }}",
        "${{ {'n': int(secrets.NUMBER)} }}",
        "${{ [secrets.TOKEN].map(t, t + 'x') }}",
    ],
)
def test_what_depends_on_a_secret_is_sensitive(text: str) -> None:
    result = value(text)
    assert has_sensitive(result)
    assert "hunter2" not in repr(result)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("${{ vars.s + 1 }}", "string + int"),
        ("${{ 1 / 0 }}", "divided by zero"),
        ("${{ vars.map.b }}", "no «b»"),
        ("${{ vars.map.b + 1 }}", "no «b»"),
        ("${{ vars.list[5] + 1 }}", "no such item"),
        ("x${{ vars.none }}", "null"),
        ("${{ range(1000000000) }}", "at most"),
        ("${{ join('a', ',') }}", "join() takes a list where it was given a string"),
        ("${{ join() }}", "wrong number of arguments"),
        ("${{ jsondecode('{') }}", "not JSON"),
        ("${{ file('b.txt') }}", "b.txt does not exist"),
        ("${{ b'abc' }}", "bytes"),
        ("${{ sandbox.nope.id }}", "no sandbox.nope"),
        ("${{ sandbox.w['7'].id }}", 'no sandbox.w["7"]'),
        ("${{ 9223372036854775807 + 1 }}", "64 bits"),
        ("${{ format('%d', 'a') }}", "does not fit %d"),
    ],
)
def test_failures_are_sentences(text: str, said: str) -> None:
    message = failure(text)
    assert said in message
    assert "Traceback" not in message


def test_a_secret_is_no_key() -> None:
    for text in ("${{ sandbox.w[secrets.TOKEN] }}", "${{ sandbox.w[secrets.TOKEN].id + 'x' }}"):
        message = failure(text)
        assert "secret can't be the key" in message
        assert "hunter2" not in message


def test_a_dynamic_key_keeps_the_structure_of_its_instance() -> None:
    scope = Scope(each=Each("1", 1), resources=SCOPE.resources)
    assert value("${{ sandbox.w[each.key] }}", scope) == {"id": UNKNOWN, "n": 1}
    assert value("${{ sandbox.w[each.value].n }}", scope) == 1


@pytest.mark.parametrize(
    "text",
    [
        "${{ int(secrets.TOKEN) }}",
        "${{ jsondecode(secrets.TOKEN) }}",
        "${{ vars.map[secrets.TOKEN] }}",
        "${{ {'a': 1}[secrets.TOKEN] }}",
        "${{ format(secrets.TOKEN, 1) }}",
        "${{ file(secrets.TOKEN) }}",
        "${{ secrets.TOKEN - 1 }}",
    ],
)
def test_failures_never_quote_a_secret(text: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        message = failure(text)
    assert "hunter2" not in message + caplog.text
    assert "withheld" in message


def test_each_is_refused_where_there_is_none() -> None:
    assert "each" in failure("${{ each.key }}", Scope())


def test_parts_without_expressions_are_shared() -> None:
    found = Diagnostics()
    raw = parse_tree({"a": {"b": [1, 2]}, "c": "${{ vars.n }}"}, (), lambda _path: None, found)
    resolved = resolve(raw, SCOPE)
    assert resolved == {"a": {"b": [1, 2]}, "c": 3}
    assert resolved["a"] is raw["a"]  # type: ignore[index, call-overload]


def test_every_function_is_described() -> None:
    for name, function in FUNCTIONS.items():
        assert function.signature.startswith(f"{name}(")
        assert function.help


@given(st.text(max_size=60))
def test_any_text_parses_or_is_reported(text: str) -> None:
    for candidate in (text, "${{" + text + "}}", "a ${{ " + text):
        found = Diagnostics()
        result = parse(candidate, None, found)
        assert isinstance(result, str) or found.items or result.parts


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-(2**63), 2**63 - 1)
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
        max_leaves=8,
    )
)
def test_values_survive_the_trip_through_cel(data: Any) -> None:
    scope = Scope(variables={"x": data})
    assert value("${{ true ? vars.x : vars.x }}", scope) == data
    assert value("${{ jsondecode(json(vars.x)) }}", scope) == data
