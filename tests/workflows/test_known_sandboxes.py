"""Live sandboxes as the state knows them."""

from __future__ import annotations

from nexus.model.addresses import Address
from nexus.model.state import State
from nexus.workflows.operating import Place, as_known
from tests.fakes.live import live
from tests.fakes.records import worker

WORKER = Address("sandbox", "worker", "0")


def test_a_sandbox_made_from_the_setup_of_its_block_is_of_the_template_that_was_asked_for() -> None:
    state = State(lineage="l", resources={WORKER: worker("0", template="shop--default--tools:spec-96a72f")})
    setup, stranger = live("i0", "nexus-setup--shop--default--worker"), live("other", "nexus-base")
    known, left = as_known(Place(state=state), [setup, stranger])
    assert (known.address, known.template) == ('sandbox.worker["0"]', "shop--default--tools")
    assert left == stranger
