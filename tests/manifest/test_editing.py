"""Edits of a manifest's text: they say what was asked for, and touch no other line."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nexus.manifest import NotEditable, read_yaml, with_item, with_value, without
from nexus.model.values import Value
from tests.manifest.writer import Writer

MANIFEST = """\
# the project
apiVersion: nexus/v1
x-shared: &shared
  LOG: info
sandboxes:
  web:   # the box
    template: base     # small
    env_vars:
      A: 1  # one
      B: "two"   # 2
      # the end of them

    packages: [httpx, "apt:jq"]  # few
    run_commands:
      - echo 1
      # then
      - |
        several
        lines
  aliased: {env_vars: *shared}
  merged:
    env_vars:
      <<: *shared
      OWN: 1
  computed: {env_vars: "${{ vars.env }}"}
  bare:
  listed:
    packages:
      pip:
        - httpx   # h
      npm: [
        one,   # first
        two
      ]
"""
WEB = ("sandboxes", "web")


def changed(after: str) -> tuple[list[str], list[str]]:
    """The lines that are not there any more, and those that are new; all others are as they were, in order."""
    return hunk(MANIFEST, after)


def hunk(before: str, after: str) -> tuple[list[str], list[str]]:
    old, new = before.splitlines(keepends=True), after.splitlines(keepends=True)
    start = next((i for i, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), min(len(old), len(new)))
    end = 0
    while end < min(len(old), len(new)) - start and old[-1 - end] == new[-1 - end]:
        end += 1
    return old[start : len(old) - end], new[start : len(new) - end]


@pytest.mark.parametrize(
    ("path", "value", "lines"),
    [
        ((*WEB, "env_vars", "B"), "it's new", (['      B: "two"   # 2\n'], ['      B: "it\'s new"   # 2\n'])),
        ((*WEB, "env_vars", "C"), "3", ([], ['      C: "3"\n'])),
        ((*WEB, "template"), "python", (["    template: base     # small\n"], ["    template: python     # small\n"])),
        (("sandboxes", "bare", "env_vars", "X"), "y z", ([], ["    env_vars:\n", "      X: y z\n"])),
        (("sandboxes", "merged", "env_vars", "LOG"), "debug", ([], ["      LOG: debug\n"])),
    ],
    ids=lambda item: ".".join(map(str, item)) if isinstance(item, tuple) and isinstance(item[0], str) else "",
)
def test_a_value_is_put_in_its_place(path: tuple[str, ...], value: str, lines: tuple[list[str], list[str]]) -> None:
    assert changed(with_value(MANIFEST, path, value)) == lines


def test_an_item_comes_after_the_others_in_the_style_of_its_list() -> None:
    assert changed(with_item(MANIFEST, (*WEB, "packages"), "six"))[1] == [
        '    packages: [httpx, "apt:jq", six]  # few\n'
    ]
    assert changed(with_item(MANIFEST, (*WEB, "run_commands"), "a\nb\n")) == (
        [],
        ["      - |\n", "        a\n", "        b\n"],
    )
    assert changed(with_item(MANIFEST, ("sandboxes", "listed", "packages", "npm"), "three")) == (
        ["        two\n"],
        ["        two,\n", "        three\n"],
    )
    assert changed(with_item(MANIFEST, ("sandboxes", "listed", "packages", "apt"), "jq")) == (
        [],
        ["      apt:\n", "        - jq\n"],
    )


def test_what_is_removed_takes_what_it_leaves_empty_with_it() -> None:
    assert changed(without(MANIFEST, (*WEB, "env_vars", "A"), keep=2)) == (["      A: 1  # one\n"], [])
    assert changed(without(MANIFEST, ("sandboxes", "listed", "packages", "pip", 0), keep=2)) == (
        ["      pip:\n", "        - httpx   # h\n"],
        [],
    )
    assert changed(without(MANIFEST, (*WEB, "packages", 0), keep=2))[1] == ['    packages: ["apt:jq"]  # few\n']
    one = "sandboxes:\n  web:\n    env_vars:\n      A: 1\n"
    assert without(one, (*WEB, "env_vars", "A"), keep=2) == "sandboxes:\n  web: {}\n"


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        (("sandboxes", "aliased", "env_vars", "LOG"), "alias"),
        (("sandboxes", "computed", "env_vars", "LOG"), "expression"),
        ((*WEB, "template", "name"), "a single value"),
    ],
)
def test_what_stands_elsewhere_is_not_edited_here(path: tuple[str, ...], reason: str) -> None:
    with pytest.raises(NotEditable, match=reason):
        with_value(MANIFEST, path, "x")


def test_nothing_is_removed_that_comes_from_elsewhere() -> None:
    with pytest.raises(NotEditable, match="comes from elsewhere"):
        without(MANIFEST, ("sandboxes", "merged", "env_vars", "LOG"))


def test_removing_what_is_not_there_removes_nothing_else() -> None:
    with pytest.raises(NotEditable):
        without("sandboxes:\n  web: {env_vars: {A: 1}}\n", (*WEB, "env_vars", "B"), keep=2)


def test_what_an_anchor_gives_to_others_is_not_edited() -> None:
    text = "sandboxes:\n  web: {env_vars: &e {A: 1}}\n  api: {env_vars: *e}\n"
    with pytest.raises(NotEditable):
        with_value(text, (*WEB, "env_vars", "B"), "2")


def test_a_value_that_is_there_already_changes_nothing() -> None:
    assert with_value(MANIFEST, (*WEB, "env_vars", "B"), "two") == MANIFEST


def test_a_file_keeps_its_mark_and_its_line_ends() -> None:
    text = "\ufeffsandboxes:\r\n  web:\r\n    template: base\r\n  api: # none\r\n"
    edited = with_value(text, (*WEB, "env_vars", "A"), "x")
    assert (
        edited == "\ufeffsandboxes:\r\n  web:\r\n    template: base\r\n    env_vars:\r\n      A: x\r\n  api: # none\r\n"
    )
    filled = with_value(text, ("sandboxes", "api", "template"), "base")
    assert filled == text + "    template: base\r\n"


@pytest.mark.parametrize(
    "text",
    [
        "yes",
        "012",
        "1e3",
        "12:30",
        "2026-01-02",
        "#x",
        "a: b",
        "a #b",
        "- a",
        "*a",
        "",
        " a",
        "a\tb",
        "null",
        "\x85",
        "é",
    ],
)
def test_any_text_is_written_so_that_it_means_itself(text: str) -> None:
    for path in ((*WEB, "env_vars", "B"), (*WEB, "env_vars", "NEW"), ("sandboxes", "bare", "env_vars", "X")):
        assert at(read_yaml(with_value(MANIFEST, path, text)).value, path) == text
    assert at(read_yaml(with_item(MANIFEST, (*WEB, "packages"), text)).value, (*WEB, "packages", 2)) == text


# ---- any manifest, any edit

NAMES = st.text("abcXYZ_-.09é ", min_size=1, max_size=6).filter(lambda name: name.strip() == name and name != "<<")
TEXTS = st.one_of(
    st.sampled_from(["a", "two words", "line one\nline two\n", "${{ vars.x }}", "1", "on"]), st.text(max_size=9)
)
SCALARS = st.one_of(TEXTS, st.integers(-99, 99), st.booleans(), st.none())
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(NAMES, inner, max_size=3)),
    max_leaves=8,
)
DOCUMENTS = st.dictionaries(NAMES, VALUES, max_size=4).map(lambda document: {"apiVersion": "nexus/v1", **document})
THOROUGHLY = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))


def paths(value: Value, path: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], Value]]:
    yield path, value
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from paths(item, (*path, key))


def at(value: Value, path: tuple[str | int, ...]) -> Value:
    for part in path:
        value = value[part]  # type: ignore[index, call-overload]
    return value


def written(document: dict[str, Value], seed: int) -> str:
    text = Writer(seed, newline="\r\n" if seed % 5 == 0 else "\n").text(document)
    read = read_yaml(text)
    assert (read.diagnostics, read.value) == ((), document), text
    return text


@THOROUGHLY
@given(DOCUMENTS, st.integers(0, 10_000), TEXTS, st.data())
def test_an_edit_of_any_manifest_changes_one_place_alone(
    document: dict[str, Value], seed: int, new: str, data: st.DataObject
) -> None:
    text = written(document, seed)
    places = list(paths(document))
    scalars = [path for path, value in places if path and not isinstance(value, dict | list)]
    mappings = [path for path, value in places if isinstance(value, dict) and value]
    kind = data.draw(st.sampled_from(["value", "key", "item", "removal"]))
    if kind == "value" and scalars:
        path = data.draw(st.sampled_from(scalars))
        after = with_value(text, path, new)
        assert at(read_yaml(after).value, path) == new
        old, _ = hunk(text, after)
        assert sum(bool(line.strip()) for line in old) <= len(str(at(document, path)).splitlines()) + 1
    elif kind == "item":
        lists = [path for path, value in places if isinstance(value, list) and path]
        path = data.draw(st.sampled_from(lists)) if lists else (*data.draw(st.sampled_from(mappings)), "new list")
        assert len(hunk(text, with_item(text, path, new))[0]) <= 1
    elif kind == "removal" and len(places) > 2:
        path = data.draw(st.sampled_from([path for path, _ in places if path and path != ("apiVersion",)]))
        after = without(text, path)
        old, fresh = hunk(text, after)
        assert len(fresh) <= 1
        assert not any(line.strip() for line in old[:1]) or not old[0].lstrip().startswith("#")
    else:
        path = (*data.draw(st.sampled_from(mappings)), "new key")
        assert len(hunk(text, with_value(text, path, new))[0]) <= 1
