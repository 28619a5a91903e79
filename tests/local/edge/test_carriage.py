"""What a kill or a pause does to a request that is being carried."""

from __future__ import annotations

from typing import cast

import h11
import pytest

from nexus.local.edge.carriage import Carriage
from nexus.local.edge.peers import Peer

_WHOLE = (h11.Data(data=b"hello"), h11.EndOfMessage())


class _Client:
    """The client's side: what HTTP has come to, and whether its connection was broken off."""

    def __init__(self) -> None:
        self.http = h11.Connection(h11.SERVER)
        self.is_broken = False

    def abort(self) -> None:
        self.is_broken = True


def _cut_after(sent: tuple[h11.Event, ...]) -> _Client:
    client = _Client()
    client.http.receive_data(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n")
    request = client.http.next_event()
    assert isinstance(request, h11.Request)
    client.http.next_event()
    for event in sent:
        client.http.send(event)
    Carriage(cast("Peer", client), request, []).cut()
    return client


@pytest.mark.parametrize(
    ("sent", "is_broken"),
    [
        pytest.param((), False, id="not begun: the client is told"),
        pytest.param((h11.Response(status_code=200, headers=[("Content-Length", "5")]),), True, id="begun"),
        pytest.param((h11.Response(status_code=200, headers=[("Content-Length", "5")]), *_WHOLE), False, id="whole"),
        pytest.param((h11.Response(status_code=200, headers=[("Connection", "close")]), *_WHOLE), False, id="last"),
    ],
)
def test_a_cut_breaks_off_the_connection_of_a_half_answer_alone(sent: tuple[h11.Event, ...], is_broken: bool) -> None:
    assert _cut_after(sent).is_broken is is_broken
