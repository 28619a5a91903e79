"""Lists of sandboxes, and of what the state remembers."""

from __future__ import annotations

from datetime import UTC, datetime

from nexus.model.addresses import Address
from nexus.model.state import ResourceRecord, State
from nexus.providers.operating import LiveSandbox
from nexus.render.operating import print_list
from nexus.render.outputs import print_state
from tests.render.conftest import Screen

NOW = datetime(2026, 11, 23, 14, tzinfo=UTC)


def live(sandbox_id: str, template: str, address: str = "") -> LiveSandbox:
    return LiveSandbox(
        id=sandbox_id,
        status="running",
        template=template,
        started_at=NOW,
        expires_at=NOW,
        cpus=2,
        memory_mib=512,
        address=address,
    )


def record(key: str, **attributes: object) -> ResourceRecord:
    address = Address("sandbox", "worker", key)
    return ResourceRecord(address=address, id=f"i{key}", uid="u", attributes=attributes)  # type: ignore[arg-type]


def test_templates_are_listed_by_the_names_that_manifests_have(screen: Screen) -> None:
    console, stream = screen(80)
    print_list(console, [live("i0", "shop--default--tools"), live("i1", "nexus-base")], NOW, with_project=False)
    assert [line.split()[2] for line in stream.getvalue().splitlines()[2:]] == ["tools", "base"]


def test_the_state_shows_instances_by_number_and_leaves_out_what_holds_nothing(screen: Screen) -> None:
    console, stream = screen(80)
    packages = {"apt": [], "pip": ["six", "idna"], "npm": []}
    resources = [record("10"), record("9", packages=packages, network={"internet": True, "deny": []}, urls={})]
    print_state(console, State(lineage="l", resources={item.address: item for item in resources}))
    assert [line.rstrip() for line in stream.getvalue().splitlines()[1:]] == [
        '  sandbox.worker["9"]  i9',
        "      packages  pip: six, idna",
        "      network   internet = true",
        "",
        '  sandbox.worker["10"]  i10',
        "",
    ]
