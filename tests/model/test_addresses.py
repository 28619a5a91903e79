"""Addresses: their texts, and their order."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from nexus.model.addresses import Address

ADDRESSES = st.builds(
    Address, st.sampled_from(["sandbox", "template"]), st.sampled_from(["a", "b"]), st.none() | st.text(max_size=3)
)


@given(ADDRESSES)
def test_the_text_of_an_address_leads_back_to_it(address: Address) -> None:
    assert Address.parse(str(address)) == address


@given(st.lists(ADDRESSES))
def test_blocks_and_instances_can_be_put_in_order_together(addresses: list[Address]) -> None:
    ordered = sorted(addresses)
    assert sorted(reversed(addresses)) == ordered
    for before, after in pairwise(ordered):
        assert before <= after
        assert before == after or not after < before
        assert (before.kind, before.name) != (after.kind, after.name) or after.key is not None or before.key is None
