"""What is drawn, and how it is written down as Mermaid, for Graphviz, as SVG and as a page."""

from __future__ import annotations

import re
from itertools import combinations, pairwise
from xml.etree import ElementTree

import pytest

from nexus.graph import DesiredGraph
from nexus.model.addresses import Address
from nexus.render import pictures
from nexus.render.pictures.layout import Size, lay_out
from nexus.render.pictures.picture import Picture, critical_path, draw
from tests.render.conftest import Compare
from tests.render.drawn import (
    DB,
    DIGEST,
    HOSTILE,
    OLD,
    OLD_TEMPLATE,
    OPERATIONS,
    STEP,
    TEMPLATE,
    WEB,
    graph,
    plan,
)

FORMATS = (pictures.mermaid, pictures.dot, pictures.svg, pictures.page)


@pytest.fixture
def picture() -> Picture:
    return draw("shop", "default", graph(), plan())


def named(picture: Picture) -> dict[str, Address]:
    return {node.id: node.address for node in picture.nodes}


def edges(picture: Picture) -> set[tuple[Address, Address]]:
    names = named(picture)
    return {(names[edge.needed], names[edge.dependant]) for edge in picture.edges}


def test_instances_of_a_block_are_one_node(picture: Picture) -> None:
    (web,) = [node for node in picture.nodes if node.address == Address("sandbox", "web")]
    assert [member.address for member in web.members] == WEB
    assert web.has_instances


def test_edges_that_longer_ways_imply_are_left_out(picture: Picture) -> None:
    web = Address("sandbox", "web")
    assert (DB, web) in edges(picture)
    assert (TEMPLATE, web) not in edges(picture)
    assert (DB, STEP) not in edges(picture)


def test_what_is_left_over_is_drawn_with_what_it_needed(picture: Picture) -> None:
    assert (OLD_TEMPLATE, OLD) in edges(picture)


def test_blocks_that_need_each_other_by_turns_are_drawn_instance_by_instance() -> None:
    one, two, other = Address("sandbox", "a", "0"), Address("sandbox", "a", "1"), Address("sandbox", "b")
    drawn = draw("shop", "default", graph({one: (), other: (one,), two: (other,)}))
    assert edges(drawn) == {(one, other), (other, two)}


def test_the_critical_path_is_the_chain_that_takes_longest() -> None:
    seconds = {"op-41": 100.0}
    way, total = critical_path(OPERATIONS, lambda operation: seconds.get(operation.id, 1.0))
    assert [operation.id for operation in way] == ["op-1", "op-3", "op-41", "op-5"]
    assert total == 103.0


def test_the_critical_path_is_marked_on_nodes_and_edges(picture: Picture) -> None:
    names = named(picture)
    way = [TEMPLATE, DB, Address("sandbox", "web"), STEP]
    assert {node.address for node in picture.nodes if node.critical} == set(way)
    marked = {(names[edge.needed], names[edge.dependant]) for edge in picture.edges if edge.critical}
    assert marked == set(pairwise(way))


def test_what_nothing_is_planned_for_has_no_critical_path() -> None:
    bare = draw("shop", "default", graph())
    assert bare.seconds is None
    assert not any(node.critical for node in bare.nodes)


@pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.__name__)
def test_an_empty_project_can_be_drawn(form: object) -> None:
    assert callable(form)
    assert form(draw("shop", "default", DesiredGraph()))


@pytest.mark.parametrize("form", [pictures.mermaid, pictures.dot], ids=lambda form: form.__name__)
def test_text_formats_are_as_they_were(picture: Picture, golden: Compare, form: object) -> None:
    assert callable(form)
    golden(f"graph-{form.__name__}", form(picture))


@pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.__name__)
def test_no_format_has_a_secret_or_its_fingerprint_in_it(picture: Picture, form: object) -> None:
    assert callable(form)
    assert DIGEST not in form(picture)


def test_mermaid_reads_nothing_that_a_user_wrote(picture: Picture) -> None:
    for line in pictures.mermaid(picture).splitlines():
        label = re.search(r'"(.*)"', line)
        assert re.fullmatch(r'[\w\s=>\-%.,:;#"\[\]/<>×…]*', line), line
        if label:
            assert not re.search(r'["\[\](){}<>]', label[1].replace("<br/>", "")), line


def test_a_block_with_many_instances_is_one_box_in_mermaid() -> None:
    many = {Address("sandbox", "worker", str(number)): () for number in range(100)}
    text = pictures.mermaid(draw("shop", "default", graph(many)))
    assert "sandbox.worker × 100" in text
    assert len(text) < 500


def test_svg_is_xml_in_which_users_wrote_text_only(picture: Picture) -> None:
    root = ElementTree.fromstring(pictures.svg(picture))
    tags = {element.tag.partition("}")[2] for element in root.iter()}
    assert tags <= {"svg", "title", "desc", "style", "defs", "marker", "path", "text", "g", "rect"}
    assert any(HOSTILE[:5] in "".join(element.itertext()) for element in root.iter())


def test_what_happens_to_a_node_is_said_by_a_sign_and_a_word_in_svg(picture: Picture) -> None:
    texts = [element.text for element in ElementTree.fromstring(pictures.svg(picture)).iter() if element.text]
    for badge in ("~ update", "-/+ replace", "+ create 3", "> run", "- delete"):
        assert badge in texts


def test_the_page_has_one_script_that_users_wrote_nothing_into(picture: Picture) -> None:
    text = pictures.page(picture)
    assert text.count("<script") == text.count("</script>") == 2
    assert "<img" not in text
    assert not re.search(r"(src|href)=\"(?!data:,)", text)


def test_boxes_stand_right_of_what_they_need_and_do_not_touch() -> None:
    sizes = {name: Size(100, 30 + 10 * (number % 4)) for number, name in enumerate("abcdefghijkl")}
    joined = [
        ("a", "d"),
        ("b", "d"),
        ("c", "e"),
        ("d", "f"),
        ("a", "f"),
        ("e", "g"),
        ("f", "h"),
        ("a", "h"),
        ("c", "l"),
    ]
    layout = lay_out(sizes, joined)
    for needed, dependant in joined:
        assert layout.boxes[needed].x + 100 < layout.boxes[dependant].x
    for one, other in combinations(layout.boxes.values(), 2):
        apart_sideways = one.x + one.width <= other.x or other.x + other.width <= one.x
        apart_upright = one.y + one.height <= other.y or other.y + other.height <= one.y
        assert apart_sideways or apart_upright
    assert all(min(box.x, box.y) >= 0 for box in layout.boxes.values())
    assert max(box.y + box.height for box in layout.boxes.values()) <= layout.height


def test_edges_begin_and_end_at_their_boxes() -> None:
    layout = lay_out({name: Size(80, 40) for name in "abc"}, [("a", "b"), ("b", "c"), ("a", "c")])
    for (needed, dependant), points in layout.routes.items():
        assert points[0] == (layout.boxes[needed].x + 80, layout.boxes[needed].middle)
        assert points[-1] == (layout.boxes[dependant].x, layout.boxes[dependant].middle)
    assert len(layout.routes["a", "c"]) == 4, "an edge that passes a column has a bend in it"


def test_a_large_graph_is_laid_out_in_reasonable_time() -> None:
    addresses = [Address("sandbox", f"s{number}") for number in range(600)]
    needs = {address: tuple(addresses[max(0, number - 3) : number : 2]) for number, address in enumerate(addresses)}
    text = pictures.svg(draw("shop", "default", graph(needs)))
    assert text.count('class="node') == 600
