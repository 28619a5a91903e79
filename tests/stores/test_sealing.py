"""What leaves the machine encrypted, and who can open it."""

from __future__ import annotations

import base64
import os
from dataclasses import replace

import pytest

from nexus.model.diagnostics import DiagnosticsError
from nexus.model.state import State
from nexus.stores import Header
from nexus.stores.remote.journal import RemoteJournal
from nexus.stores.remote.sealing import OpenObjects, SealedObjects, key_of
from nexus.stores.remote.states import RemoteStateStore, RemoteVersions
from tests.fakes.objects import MemoryObjects
from tests.stores.conformance import BEGIN


def new_key() -> str:
    return base64.b64encode(os.urandom(32)).decode()


@pytest.fixture
def server() -> MemoryObjects:
    return MemoryObjects()


def sealed(server: MemoryObjects, *keys: str) -> SealedObjects:
    return SealedObjects(server, [key_of(key, "the key") for key in keys])


@pytest.mark.parametrize("is_sealed", [True, False])
async def test_the_server_sees_nothing_of_sealed_states_journals_and_versions(
    server: MemoryObjects, full_state: State, header: Header, is_sealed: bool
) -> None:
    objects = sealed(server, new_key()) if is_sealed else OpenObjects(server)
    await RemoteStateStore(objects).write(full_state, 0)
    await RemoteStateStore(objects).write(replace(full_state, serial=8), 7)
    journal = RemoteJournal(objects)
    await journal.start(header)
    await journal.append(BEGIN)
    assert {"state", "journal"} < set(server.documents)
    # With what no sealed text has, in which any few letters may come together.
    for word in (b'"lin"', b"sandbox.web"):
        assert any(word in document.content for document in server.documents.values()) is not is_sealed
    await journal.clear()


async def test_a_key_is_changed_by_writing_once_more(server: MemoryObjects, full_state: State) -> None:
    old, new = new_key(), new_key()
    await RemoteStateStore(sealed(server, old)).write(full_state, 0)
    both = RemoteStateStore(sealed(server, new, old))
    assert await both.read() == full_state
    with pytest.raises(DiagnosticsError, match="state-key-wrong"):
        await RemoteStateStore(sealed(server, new)).read()
    later = replace(full_state, serial=8)
    await both.write(later, 7)
    assert await RemoteStateStore(sealed(server, new)).read() == later
    versions = RemoteVersions(sealed(server, new))
    assert [await versions.read(item) for item in await versions.list()] == [full_state]


async def test_what_somebody_has_changed_is_not_opened(server: MemoryObjects, full_state: State) -> None:
    objects = sealed(server, new_key())
    await RemoteStateStore(objects).write(full_state, 0)
    there = server.documents["state"]
    changed = there.content.replace(there.content[40:44], b"AAAA")
    server.documents["state"] = replace(there, content=changed)
    with pytest.raises(DiagnosticsError, match="state-key-wrong"):
        await RemoteStateStore(objects).read()


async def test_one_document_in_place_of_another_is_not_opened(server: MemoryObjects, full_state: State) -> None:
    objects = sealed(server, new_key())
    await RemoteStateStore(objects).write(full_state, 0)
    await RemoteStateStore(objects).write(replace(full_state, serial=8), 7)
    (older,) = objects.names("versions/")
    server.documents["state"] = server.documents[older]
    with pytest.raises(DiagnosticsError, match="state-key-wrong"):
        await RemoteStateStore(objects).read()


async def test_sealed_and_open_are_told_apart(server: MemoryObjects, full_state: State) -> None:
    key = new_key()
    await RemoteStateStore(sealed(server, key)).write(full_state, 0)
    with pytest.raises(DiagnosticsError, match="state-encrypted"):
        await RemoteStateStore(OpenObjects(server)).read()
    await RemoteStateStore(OpenObjects(server)).write(full_state, None)
    with pytest.raises(DiagnosticsError, match="state-not-encrypted"):
        await RemoteStateStore(sealed(server, key)).read()
    await RemoteStateStore(sealed(server, key)).write(full_state, None)
    assert await RemoteStateStore(sealed(server, key)).read() == full_state


@pytest.mark.parametrize("text", ["", "short", "a passphrase that people can remember", "MDEyMzQ1Njc4OWFiY2RlZg=="])
def test_what_is_no_key_is_refused_without_being_shown(text: str) -> None:
    with pytest.raises(DiagnosticsError, match="state-key-invalid") as problem:
        key_of(text, "env NEXUS_STATE_KEY")
    assert not text or text not in problem.value.diagnostics[0].detail


def test_both_alphabets_of_base64_are_read() -> None:
    raw = b"\xfb\xff" * 16
    assert (
        key_of(base64.urlsafe_b64encode(raw).decode(), "k").decrypt(
            key_of(base64.b64encode(raw).decode() + "\n", "k").encrypt(b"x")
        )
        == b"x"
    )
