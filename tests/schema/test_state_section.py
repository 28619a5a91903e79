"""The section ``state``: fields that do not go together are found before anything is asked of a server."""

from __future__ import annotations

import pytest

from nexus.schema.state_place import StatePlace, check_state_place, parse_state_place, state_place_to_json

KEY = {"env": "NEXUS_STATE_KEY"}


@pytest.mark.parametrize(
    "section",
    [
        {},
        {"backend": "local"},
        {"backend": "s3", "bucket": "b", "region": "r", "endpoint": "https://x", "prefix": "p", "lease": "30s"},
        {"backend": "gcs", "bucket": "b"},
        {"backend": "azure", "account": "a", "container": "c", "encryption": {"key": KEY, "previous": [KEY]}},
        {"backend": "postgres"},
        {"backend": "http", "address": "https://x", "lock_method": "POST"},
    ],
)
def test_what_goes_together_is_read_and_written_again(section: dict[str, object]) -> None:
    assert check_state_place(section) == ()
    place = parse_state_place(section)
    assert parse_state_place(state_place_to_json(place)) == place


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ({"backend": "ftp"}, "no backend ftp"),
        ({"backend": "s3"}, "needs bucket"),
        ({"backend": "azure", "account": "a"}, "needs container"),
        ({"backend": "http"}, "needs address"),
        ({"backend": "postgres", "bucket": "b"}, "has no bucket"),
        ({"bucket": "b"}, "local has no bucket"),
        ({"encryption": {"key": KEY}}, "local has no encryption"),
        ({"backend": "postgres", "lease": "1s"}, "less than 5 seconds"),
        ({"backend": "postgres", "lease": "soon"}, "lease must be a duration"),
        ({"backend": "postgres", "encryption": {}}, "needs a key"),
    ],
)
def test_what_does_not_go_together_is_told(section: dict[str, object], words: str) -> None:
    (problem,) = check_state_place(section)
    assert problem.code == "invalid-state-place"
    assert words in problem.summary


def test_where_keys_are_and_how_long_a_lease_is_makes_no_other_place() -> None:
    place = StatePlace(backend="s3", fields={"bucket": "b"}, keys=(KEY,), lease=60)
    assert place.is_same_place(StatePlace(backend="s3", fields={"bucket": "b"}, keys=({"file": "key"},)))
    assert not place.is_same_place(StatePlace(backend="s3", fields={"bucket": "b"}))
    assert not place.is_same_place(StatePlace(backend="s3", fields={"bucket": "c"}, keys=(KEY,)))
