"""The service as its users meet it, in a sandbox that is there for these tests alone."""

import json
import urllib.request

import pytest


def notes(url: str, new: str | None = None) -> list[str]:
    """What the service keeps; ``new`` is posted first."""
    data = None if new is None else new.encode()
    with urllib.request.urlopen(url, data=data, timeout=10) as answer:
        return json.load(answer)


@pytest.fixture
def url(nexus_project):
    return nexus_project.output("url", str)


def test_a_note_that_was_posted_is_there(url):
    notes(url, new="remember the milk")
    assert "remember the milk" in notes(url)


def test_notes_outlive_a_pause_of_the_sandbox(nexus_project, url):
    notes(url, new="still here")
    sandbox = nexus_project.sandbox("notes")
    sandbox.stop()
    sandbox.start()
    assert "still here" in notes(url)


@pytest.mark.nexus(variables={"limit": 2})
def test_the_oldest_note_makes_room(nexus_project, url):
    for number in range(3):
        notes(url, new=f"note {number}")
    assert notes(url) == ["note 1", "note 2"]
    kept = nexus_project.sandbox("notes").e2b().files.read("/home/user/app/notes.json")  # E2B's own SDK
    assert json.loads(kept) == ["note 1", "note 2"]
