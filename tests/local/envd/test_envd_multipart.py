"""The multipart parser, on bodies cut anywhere."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus.local.envd.multipart import MultipartError, MultipartParser, PartBegin, PartData, PartEnd, boundary_of

_CONTENT = st.binary(max_size=200).map(lambda data: data.replace(b"--bound", b"")) | st.sampled_from(
    [b"\r\n", b"\r\n--", b"\r\n--boun", b"--", b"\r\n\r\n", b"\r"]
)


@given(contents=st.lists(_CONTENT, max_size=4), cuts=st.lists(st.integers(1, 40), min_size=1, max_size=20))
def test_parts_come_out_as_they_went_in_wherever_the_body_is_cut(contents: list[bytes], cuts: list[int]) -> None:
    head = b'--bound\r\nContent-Type: text/plain\r\ncontent-disposition: form-data; name="file"; filename="f%d"\r\n\r\n'
    body = b"".join(head % number + content + b"\r\n" for number, content in enumerate(contents)) + b"--bound--\r\n"
    parser = MultipartParser(b"bound")
    parts: list[bytearray] = []
    ended = at = turn = 0
    while at < len(body):
        cut = cuts[turn % len(cuts)]
        for event in parser.feed(body[at : at + cut]):
            match event:
                case PartBegin(name="file", filename=filename):
                    assert filename == f"f{len(parts)}"
                    parts.append(bytearray())
                case PartData(data):
                    parts[-1] += data
                case PartEnd():
                    ended += 1
        at, turn = at + cut, turn + 1
    parser.finish()
    assert ([bytes(part) for part in parts], ended) == (contents, len(contents))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"--bound\r\n",
        b"--bound\r\n\r\nno headers\r\n--bound--",
        b"--bound\r\nX: y\r\n\r\nno disposition\r\n--bound--",
        b"--boundary\r\n",
        b'--bound\r\nContent-Disposition: form-data; name="file"\r\n\r\ncut',
        b"--bound\r\n" + b"x" * 20_000,
    ],
)
def test_malformed_bodies_are_errors(body: bytes) -> None:
    parser = MultipartParser(b"bound")
    with pytest.raises(MultipartError):
        _parse(parser, body)


def test_the_boundary_may_be_quoted() -> None:
    assert boundary_of('multipart/form-data; boundary="a b"') == b"a b"
    assert boundary_of("multipart/form-data; charset=utf-8; boundary=ab; x=y") == b"ab"
    with pytest.raises(MultipartError):
        boundary_of("multipart/form-data")


def _parse(parser: MultipartParser, body: bytes) -> None:
    list(parser.feed(body))
    parser.finish()
