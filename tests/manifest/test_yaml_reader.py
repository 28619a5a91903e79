"""The YAML that manifests are written in, read as YAML 1.2 and within bounds."""

import time

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from nexus.manifest import SourceMap, read_yaml
from nexus.manifest.yaml_reader import MAX_BYTES


def codes(content: str | bytes) -> list[str]:
    return [item.code for item in read_yaml(content).diagnostics]


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("yes", "yes"),
        ("on", "on"),
        ("off", "off"),
        ("022", "022"),
        ("0644", "0644"),
        ("12:30:00", "12:30:00"),
        ("1_000", "1_000"),
        ("2024-01-01", "2024-01-01"),
        (".inf", ".inf"),
        ("1e999", "1e999"),
        ("12345678901234567890", "12345678901234567890"),
        ("=", "="),
        ("'3'", "3"),
        ('"true"', "true"),
        ("true", True),
        ("False", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("0", 0),
        ("-17", -17),
        ("0o17", 15),
        ("0x1f", 31),
        ("1.5", 1.5),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("[a, 1]", ["a", 1]),
        ("|\n  a\n  b\n", "a\nb\n"),
    ],
)
def test_plain_scalars_stay_what_they_look_like(written: str, value: object):
    document = read_yaml(f"a: {written}")
    assert not document.diagnostics
    assert isinstance(document.value, dict)
    found = document.value["a"]
    assert (found, type(found)) == (value, type(value))


def test_keys_are_texts():
    assert read_yaml("on: 1\n3: 2\ntrue: 3").value == {"on": 1, "3": 2, "true": 3}


def test_merge_keys_and_anchors():
    document = read_yaml("a: &a {x: 1, y: 1}\nb: &b {y: 2, z: 2}\nc: {<<: [*a, *b], x: 3}\nd: {<<: *a}\n'<<': text\n")
    assert not document.diagnostics
    assert isinstance(document.value, dict)
    assert document.value["c"] == {"x": 3, "y": 1, "z": 2}
    assert document.value["d"] == {"x": 1, "y": 1}
    assert document.value["<<"] == "text"


def test_values_have_places():
    places = SourceMap(read_yaml("a:\n  b: [1, 'two']\n  c: |\n    text\nd: {e: 1}\n").spot)
    assert str(places(("a",))) == "nexus.yaml:1:1"
    assert str(places.value(("a", "b", 1))) == "nexus.yaml:2:10"
    assert str(places.key(("a", "c"))) == "nexus.yaml:3:3"
    assert str(places(("d", "e"))) == "nexus.yaml:5:8"
    assert str(places(("d", "missing", "deeper"))) == "nexus.yaml:5:1"
    assert places.key(("a", "b", 1)) is None
    place = places.value(("a", "b"))
    assert place is not None
    assert (place.end.line, place.end.column) == (2, 16)
    block = places.value(("a",))
    assert block is not None
    assert block.end.line <= 5


def test_columns_count_characters_and_a_byte_order_mark_none():
    document = read_yaml("\ufeffä: {ü: x, b: [}".encode())
    assert [(item.range.start.line, item.range.start.column) for item in document.diagnostics if item.range] == [
        (1, 15)
    ]


def test_an_empty_file_is_nothing():
    for content in ("", "\n", "# nothing\n", "---\n"):
        assert read_yaml(content).value is None
        assert not read_yaml(content).diagnostics


def test_what_is_wrong_is_collected():
    assert codes("a: 1\na: 2\nb: !!set {}\nc: *none\n? [k]\n: v\n") == [
        "duplicate-key",
        "yaml-tag",
        "yaml-alias",
        "invalid-key",
    ]


def test_bytes_that_are_no_text_are_placed():
    (problem,) = read_yaml("a: 1\nb: ä".encode() + b"\xff").diagnostics
    assert problem.code == "not-utf-8"
    assert problem.range is not None
    assert (problem.range.start.line, problem.range.start.column) == (2, 5)


def test_a_file_beyond_the_limit_is_not_read():
    assert codes(b"#" * (MAX_BYTES + 1)) == ["file-too-large"]
    assert codes(b"#" * MAX_BYTES) == []


def test_depth_is_limited():
    assert codes("[" * 64 + "]" * 64) == []
    assert codes("[" * 65 + "]" * 65) == ["too-deep"]
    assert codes("[" * 1_000_000) == ["too-deep"]


def test_aliases_are_limited():
    assert codes("a: &a x\nb: [" + "*a, " * 10_000 + "]") == []
    assert codes("a: &a x\nb: [" + "*a, " * 10_001 + "]") == ["too-many-aliases"]


def test_a_billion_laughs_are_not_laughed():
    lines = ["a0: &a0 [x]"] + [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 12)]
    started = time.process_time()
    assert codes("\n".join(lines)) == ["too-many-aliases"]
    assert time.process_time() - started < 5


def test_large_values_are_not_multiplied_by_aliases():
    assert codes("a: &a [" + "x, " * 50_000 + "]\nb: [" + "*a, " * 100 + "]") == ["too-many-aliases"]


@given(st.text() | st.binary())
@example("&a : *a")
@example("? *a\n: b")
@example("{? [a]: b, <<: 1}")
@example("- &a\n- *a")
@example("!t &a x: y")
@example("%YAML 1.1\n---\na: b")
@example('"\\ud800"')
def test_nothing_is_ever_raised(content: str | bytes):
    document = read_yaml(content)
    assert document.value is None or document.spot is not None


markup = st.lists(
    st.sampled_from(
        [
            "a",
            "b",
            ": ",
            "- ",
            "\n",
            "  ",
            "[",
            "]",
            "{",
            "}",
            ",",
            "&x ",
            "*x",
            "<<",
            "|",
            "'",
            '"',
            "!t ",
            "? ",
            "1",
            "#",
        ]
    ),
    max_size=25,
).map("".join)


@given(markup)
def test_nothing_is_raised_for_what_looks_like_yaml(content: str):
    document = read_yaml(content)
    places = SourceMap(document.spot)
    _every_part_has_a_place(document.value, (), places)


def _every_part_has_a_place(value: object, path: tuple[str | int, ...], places: SourceMap) -> None:
    if path:
        assert places.value(path) is not None
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in parts:
        _every_part_has_a_place(part, (*path, key), places)


plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**17), 10**17)
    | st.text(st.characters(codec="utf-8", exclude_categories=["C"])),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.from_regex(r"[a-z]{1,5}", fullmatch=True), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(plain)
def test_what_yaml_writers_write_is_read_back(value: object):
    document = read_yaml(yaml.safe_dump({"value": value}, allow_unicode=True))
    assert not document.diagnostics
    assert document.value == {"value": value}
