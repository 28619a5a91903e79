"""A plan as a comment on a pull request."""

from __future__ import annotations

import re
from html.parser import HTMLParser

from nexus.model.addresses import Address
from nexus.model.changes import Action
from nexus.render import pictures
from nexus.render.markdown import LIMIT, plan_markdown
from nexus.render.pictures import draw
from tests.render.conftest import Compare
from tests.render.drawn import DIGEST, change, field, graph, plan


class Tags(HTMLParser):
    """The tags of a text, outside of its fenced blocks."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(re.sub(r"^(`{3,})[a-z]*\n.*?^\1$", "", text, flags=re.DOTALL | re.MULTILINE))

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.found.append(tag)

    def handle_endtag(self, tag: str) -> None:
        self.found.append(f"/{tag}")


def test_markdown_is_as_it_was(golden: Compare) -> None:
    golden("plan-markdown", plan_markdown(plan(), pictures.mermaid(draw("shop", "default", graph(), plan()))))


def test_what_users_named_makes_no_tags() -> None:
    tags = Tags(plan_markdown(plan())).found
    assert set(tags) == {name for tag in ("details", "summary", "code") for name in (tag, f"/{tag}")}
    assert tags.count("details") == tags.count("/details")


def test_nobody_is_mentioned() -> None:
    text = plan_markdown(plan())
    assert "@someone" not in text
    assert "@&#8203;someone" in text


def test_a_fence_is_longer_than_any_in_what_it_holds() -> None:
    text = plan_markdown(plan())
    assert "\n````diff\n" in text
    assert "\n+   ```\n" in text


def test_secrets_and_their_fingerprints_are_not_in_it() -> None:
    assert DIGEST not in plan_markdown(plan())


def test_a_long_plan_fits_a_comment_and_says_what_is_left_out() -> None:
    changes = tuple(
        change(
            Address("sandbox", f"s{n}"), Action.CREATE, "not in state", field("run_commands", None, ["x" * 200] * 20)
        )
        for n in range(3000)
    )
    text = plan_markdown(plan(changes, ()))
    assert len(text) <= LIMIT
    assert "s0" in text
    left_out = re.search(r"… and (\d+) more changes\.", text)
    assert left_out, text[-300:]


def test_a_plan_of_middle_length_names_every_change() -> None:
    changes = tuple(
        change(
            Address("sandbox", f"s{n}"), Action.CREATE, "not in state", field("run_commands", None, ["x" * 200] * 20)
        )
        for n in range(100)
    )
    text = plan_markdown(plan(changes, ()))
    assert len(text) <= LIMIT
    assert all(f"sandbox.s{n}<" in text for n in range(100))
    assert 3 < text.count("```diff") < 100


def test_a_plan_without_changes_is_a_sentence() -> None:
    assert "No changes. What is out there matches the manifest." in plan_markdown(plan((), ()))


def test_instances_that_say_the_same_are_told_once() -> None:
    changes = tuple(
        change(Address("sandbox", "worker", str(n)), Action.CREATE, "not in state", field("timeout", None, 60))
        for n in range(50)
    )
    text = plan_markdown(plan(changes, ()))
    assert "sandbox.worker&#91;0…49&#93; × 50" in text
    assert text.count("<details>") == 1


def test_even_names_of_any_length_leave_it_short_enough() -> None:
    changes = tuple(
        change(Address("sandbox", "web", f"{n}{'`' * 5000}"), Action.CREATE, f"cause {n} {'#' * 5000}", data_loss=True)
        for n in range(400)
    )
    assert len(plan_markdown(plan(changes, ()))) <= LIMIT
