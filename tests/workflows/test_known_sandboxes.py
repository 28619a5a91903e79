"""Live sandboxes as the state knows them."""

from __future__ import annotations

from datetime import UTC, datetime

from nexus.model.addresses import Address
from nexus.model.state import ResourceRecord, State
from nexus.providers.operating import LiveSandbox
from nexus.workflows.operating import Place, as_known

NOW = datetime(2026, 11, 23, 14, tzinfo=UTC)
WORKER = Address("sandbox", "worker", "0")


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


def test_a_sandbox_made_from_the_setup_of_its_block_is_of_the_template_that_was_asked_for() -> None:
    state = State(lineage="l", resources={WORKER: record("0", template="shop--default--tools:spec-96a72f")})
    setup, stranger = live("i0", "nexus-setup--shop--default--worker"), live("other", "nexus-base")
    known, left = as_known(Place(state=state), [setup, stranger])
    assert (known.address, known.template) == ('sandbox.worker["0"]', "shop--default--tools")
    assert left == stranger
