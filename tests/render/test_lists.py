"""Lists of sandboxes, and of what the state remembers."""

from __future__ import annotations

from nexus.model.state import State
from nexus.render.operating import print_list
from nexus.render.outputs import print_state
from tests.fakes.live import NOW, live
from tests.fakes.records import worker
from tests.render.conftest import Screen


def test_templates_are_listed_by_the_names_that_manifests_have(screen: Screen) -> None:
    console, stream = screen(80)
    print_list(console, [live("i0", "shop--default--tools"), live("i1", "nexus-base")], NOW, with_project=False)
    assert [line.split()[2] for line in stream.getvalue().splitlines()[2:]] == ["tools", "base"]


def test_the_state_shows_instances_by_number_and_leaves_out_what_holds_nothing(screen: Screen) -> None:
    console, stream = screen(80)
    packages = {"apt": [], "pip": ["six", "idna"], "npm": []}
    resources = [worker("10"), worker("9", packages=packages, network={"internet": True, "deny": []}, urls={})]
    print_state(console, State(lineage="l", resources={item.address: item for item in resources}))
    assert [line.rstrip() for line in stream.getvalue().splitlines()[1:]] == [
        '  sandbox.worker["9"]  i9',
        "      packages  pip: six, idna",
        "      network   internet = true",
        "",
        '  sandbox.worker["10"]  i10',
        "",
    ]


def test_the_state_shows_files_that_a_step_left_by_their_paths(screen: Screen) -> None:
    console, stream = screen(80)
    left = {"sandbox": "i9", "address": "sandbox.web", "path": "/home/user/answer.txt", "sha256": "0" * 64, "size": 3}
    resources = [worker("9", outputs={"answer": left})]
    print_state(console, State(lineage="l", resources={item.address: item for item in resources}))
    assert 'outputs  answer = "/home/user/answer.txt"' in stream.getvalue()
