"""The layout of manifests: always the same one, and never another meaning."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus.manifest import NotFormattable, formatted, read_yaml
from nexus.model.values import Value
from tests.manifest.test_editing import DOCUMENTS, THOROUGHLY, written

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*/**/*.yaml"))

UNTIDY = """\


# top
apiVersion:   nexus/v1
project: x
x-shared: &shared
    LOG:    info
sandboxes:
# about web
    web:   # the box
        env_vars:
            A: 1           # one
            BBBB:   "two"  # 2
            # the end of them


        packages: [ httpx,"apt:jq" , ]  # few   \t
        run_commands:
        - echo 1
        # then
        -   |
            several
              lines

            end
        -   "quoted
               over

               lines"
        # the end of commands
    flows: {env_vars: *shared,  b: { c : 1 } }
    list: [
        one,   # first
          {a: 1,
          b: 2},
        # c
    ]
    bare :
    deep: |2
       two
      one
  # the end
outputs: {}
"""
TIDY = """\
# top
apiVersion: nexus/v1
project: x

x-shared: &shared
  LOG: info

sandboxes:
  # about web
  web:   # the box
    env_vars:
      A: 1         # one
      BBBB: "two"  # 2
      # the end of them

    packages: [httpx, "apt:jq"]  # few
    run_commands:
      - echo 1
      # then
      - |
        several
          lines

        end
      - "quoted
        over

        lines"
      # the end of commands
  flows: {env_vars: *shared, b: {c: 1}}
  list: [
    one,   # first
    {a: 1,
      b: 2},
    # c
  ]
  bare:
  deep: |2
     two
    one

# the end
outputs: {}
"""


def test_a_manifest_gets_even_lines_and_keeps_its_comments_quotes_and_order() -> None:
    assert formatted(UNTIDY) == TIDY


def test_a_tidy_manifest_stays_as_it_is() -> None:
    assert formatted(TIDY) == TIDY


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.parent.name)
def test_the_examples_are_formatted(path: Path) -> None:
    text = path.read_text()
    assert formatted(text) == text


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", ""),
        ("\n\n# only a comment\n\n", "# only a comment\n"),
        ("a: 1", "a: 1\n"),
        ("\ufeffa: 1\n", "a: 1\n"),
        ("a: 1\r\n\r\n\r\nb:\r\n    - c\r\n", "a: 1\r\n\r\nb:\r\n  - c\r\n"),
        (
            "a:\n\n  b: |\n\n    text:\n\n    more\n\n  c:\n\n  d: 1\n",
            "a:\n  b: |\n\n    text:\n\n    more\n\n  c:\n\n  d: 1\n",
        ),
        ("---\na: 1\n", "---\na: 1\n"),
        ('{"a":1, "b":[ 1,2 ]}', '{"a": 1, "b": [1, 2]}\n'),
        ('{\n"a": {\n"b": 1\n}\n}\n', '{\n  "a": {\n    "b": 1\n  }\n}\n'),
        ("a: |+\n    text\n\n\n\nb: 1\n", "a: |+\n  text\n\n\n\nb: 1\n"),
        ("a: |+\n text\nb: 1\n", "a: |+\n  text\nb: 1\n"),
        ("a: >-\n      folded\n      text\n", "a: >-\n  folded\n  text\n"),
        ("a:\n- - 1\n  - 2\n- b: 1\n  c: 2\n", "a:\n  - - 1\n    - 2\n  - b: 1\n    c: 2\n"),
        ("a:\n    several words\n    of text\n", "a:\n  several words\n  of text\n"),
        ("a: several words\n     of text # end\n", "a: several words\n  of text # end\n"),
        ("a: 'it''s #1'   # one\n", "a: 'it''s #1'   # one\n"),
        ("a: [ 1, b:  2, {c:  3} ]\n", "a: [1, b: 2, {c: 3}]\n"),
        ("a: [\n  b: 1,\n  c: {d: 2}\n]\n", "a: [\n  b: 1,\n  c: {d: 2}\n]\n"),
        ("a: [1,\n    2]\n", "a: [1,\n  2]\n"),
        ("a: [ { b:  1,c: 2 },  # one\n    2 , 3 ]\n", "a: [{b: 1, c: 2},  # one\n  2, 3]\n"),
        ("a: &x\n    b: 1\nc: *x\n", "a: &x\n  b: 1\n\nc: *x\n"),
        ("a:\n    &x\n    b: 1\n", "a:\n  &x\n  b: 1\n"),
        ("a:\n    b: 1\n    # of b\n  # odd\n# of c\nc: 1\n", "a:\n  b: 1\n  # of b\n\n# odd\n# of c\nc: 1\n"),
    ],
    ids=lambda text: repr(text)[1:16],
)
def test_one_thing_at_a_time(before: str, after: str) -> None:
    assert formatted(before) == after
    assert formatted(after) == after


@pytest.mark.parametrize("text", ["? a\n: 1\n", "a: 1\rb: 2\r"])
def test_what_nobody_writes_by_hand_is_refused(text: str) -> None:
    with pytest.raises(NotFormattable):
        formatted(text)


@THOROUGHLY
@given(DOCUMENTS, st.integers(0, 10_000))
def test_any_manifest_is_formatted_once_and_for_all(document: dict[str, Value], seed: int) -> None:
    text = written(document, seed)
    after = formatted(text)
    assert formatted(after) == after
    assert read_yaml(after).value == document
    assert after.count("# note") == text.count("# note")
