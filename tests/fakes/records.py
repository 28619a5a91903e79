"""Records as short as tests need them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from nexus.model.addresses import Address
from nexus.model.state import ResourceRecord

WEB: Final = Address("sandbox", "web")
WORKER: Final = Address("sandbox", "worker", 'eu "1" ü')


def make_record(address: Address, uid: str, **fields: Any) -> ResourceRecord:
    """A record whose id tells its uid."""
    return replace(ResourceRecord(address=address, id=f"id-{uid}", uid=uid), **fields)


def worker(key: str, **attributes: object) -> ResourceRecord:
    """An instance of ``sandbox.worker`` with these attributes."""
    address = Address("sandbox", "worker", key)
    return ResourceRecord(address=address, id=f"i{key}", uid="u", attributes=attributes)  # type: ignore[arg-type]
