"""A part of Google Cloud Storage's XML API, as Google documents it: objects, their generations, and preconditions.

It is written from the documentation (request preconditions, object and bucket methods of the XML API, error messages),
because none of the servers that tests could install has what state needs: fake-gcs-server refuses uploads by this API,
and gcp-storage-emulator does not have it. It stands in for Google's own as far as the documentation says all. What it
does not know it refuses, rather than to be lenient. It runs in a thread, on the loopback interface.
"""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from functools import cache
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from tests.servers import served

BUCKET = "states"
ACCOUNT = "tests@project.iam.gserviceaccount.com"

_PAGE = 1000
_PRECONDITION = "x-goog-if-generation-match"
_UNDERSTOOD = {"list-type", "prefix", "delimiter", "continuation-token", "max-keys"}
_MESSAGES = {
    "InvalidArgument": 400,
    "InvalidAuthentication": 401,
    "AccessDenied": 403,
    "NoSuchBucket": 404,
    "NoSuchKey": 404,
    "MethodNotAllowed": 405,
    "MissingContentLength": 411,
    "PreconditionFailed": 412,
    "SlowDown": 429,
    "NotImplemented": 501,
}


class RefusedError(Exception):
    """An answer that is none of success. Its text is the code of the error."""


@dataclass(frozen=True, slots=True)
class Live:
    """The live version of one object."""

    content: bytes
    generation: int
    at: float

    @property
    def headers(self) -> dict[str, str]:
        digest = hashlib.md5(self.content, usedforsecurity=False)
        return {
            "ETag": f'"{digest.hexdigest()}"',
            "Last-Modified": format_datetime(datetime.fromtimestamp(self.at, UTC), usegmt=True),
            "x-goog-generation": str(self.generation),
            "x-goog-metageneration": "1",
            "x-goog-hash": f"md5={base64.b64encode(digest.digest()).decode()}",
            "x-goog-stored-content-encoding": "identity",
            "x-goog-stored-content-length": str(len(self.content)),
        }


@dataclass(slots=True)
class Answer:
    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(kw_only=True)
class GcsServer:
    """One bucket. ``pause`` is how many seconds must lie between two writes of one object: Google says one.

    ``status`` is answered instead of everything, where it is set, and each of ``moods`` in turn, where that is not 0.
    Of the writes that follow, ``lost_answers`` are done without being answered.
    """

    address: str = ""
    pause: float = 0.0
    status: int = 0
    moods: list[int] = field(default_factory=list)
    lost_answers: int = 0
    objects: dict[str, Live] = field(default_factory=dict)
    written: dict[str, float] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)
    turn: threading.Lock = field(default_factory=threading.Lock)
    _generations: Iterator[int] = field(default_factory=lambda: itertools.count(time.time_ns() // 1000))

    def fields(self, **more: str) -> dict[str, str]:
        return {"bucket": BUCKET, **more}

    @property
    def environment(self) -> dict[str, str]:
        """The key of a service account, as it is downloaded, that leads here."""
        encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
        text = _key().private_bytes(encoding, form, serialization.NoEncryption()).decode()
        account = {"type": "service_account", "client_email": ACCOUNT, "private_key": text, "private_key_id": "one"}
        return {"GOOGLE_SERVICE_ACCOUNT_KEY": json.dumps({**account, "gcs_base_url": self.address})}

    # ---- requests

    def answer(self, method: str, target: str, headers: dict[str, str], body: bytes) -> Answer:
        try:
            if status := self.status or self._mood():
                return Answer(status)
            self._check_who(headers.get("authorization", ""))
            parts = urlsplit(target)
            bucket, _, name = unquote(parts.path.removeprefix("/")).partition("/")
            if bucket != BUCKET:
                raise RefusedError("NoSuchBucket")
            query = parse_qs(parts.query, keep_blank_values=True)
            if not name:
                return self._list(method, query)
            if query:
                raise RefusedError("NotImplemented")
            return self._object(method, name, headers, body)
        except RefusedError as problem:
            code = str(problem)
            self.refused.append(code)
            text = f"<?xml version='1.0' encoding='UTF-8'?><Error><Code>{code}</Code><Message>{code}</Message></Error>"
            return Answer(_MESSAGES[code], {"Content-Type": "application/xml"}, text.encode())

    def _mood(self) -> int:
        if not self.moods:
            return 0
        self.moods.append(self.moods.pop(0))
        return self.moods[-1]

    def _check_who(self, authorization: str) -> None:
        """A token that the service account has signed itself, and that has not expired."""
        try:
            scheme, token = authorization.split(" ")
            signed, signature = token.rsplit(".", 1)
            _key().public_key().verify(_decoded(signature), signed.encode(), padding.PKCS1v15(), hashes.SHA256())
            claims = json.loads(_decoded(signed.split(".")[1]))
            valid = scheme == "Bearer" and claims["iss"] == ACCOUNT and claims["exp"] > time.time()
        except (ValueError, KeyError, IndexError, InvalidSignature):
            valid = False
        if not valid:
            raise RefusedError("InvalidAuthentication")

    def _object(self, method: str, name: str, headers: dict[str, str], body: bytes) -> Answer:
        there = self.objects.get(name)
        self._check_precondition(headers, there)
        match method:
            case "PUT":
                if "content-length" not in headers:
                    raise RefusedError("MissingContentLength")
                return Answer(200, self._write(name, body).headers)
            case "GET" | "HEAD" | "DELETE" if there is None:
                raise RefusedError("NoSuchKey")
            case "GET" | "HEAD":
                return Answer(200, {**there.headers, "Content-Type": "application/octet-stream"}, there.content)
            case "DELETE":
                del self.objects[name]
                return Answer(204)
            case _:
                raise RefusedError("MethodNotAllowed")

    def _check_precondition(self, headers: dict[str, str], there: Live | None) -> None:
        """Generation 0 means that there is no live version."""
        unknown = [item for item in headers if item.startswith(("x-goog-if-", "if-")) and item != _PRECONDITION]
        if unknown:
            raise RefusedError("NotImplemented")
        expected = headers.get(_PRECONDITION)
        if expected is None:
            return
        if not expected.isdigit():
            raise RefusedError("InvalidArgument")
        if int(expected) != (0 if there is None else there.generation):
            raise RefusedError("PreconditionFailed")

    def _write(self, name: str, content: bytes) -> Live:
        now = time.monotonic()
        if now - self.written.get(name, -self.pause) < self.pause:
            raise RefusedError("SlowDown")
        self.written[name] = now
        live = self.objects[name] = Live(content, next(self._generations), time.time())
        return live

    def _list(self, method: str, query: dict[str, list[str]]) -> Answer:
        if (
            method != "GET"
            or query.get("list-type") != ["2"]
            or not query.keys() <= _UNDERSTOOD
            or "delimiter" in query
        ):
            raise RefusedError("NotImplemented")
        prefix, after = (query.get(word, [""])[0] for word in ("prefix", "continuation-token"))
        size = min(_PAGE, int(query.get("max-keys", [str(_PAGE)])[0]))
        names = sorted(name for name in self.objects if name.startswith(prefix) and name > after)
        page, more = names[:size], len(names) > size
        contents = "".join(self._listed(name) for name in page)
        token = f"<NextContinuationToken>{escape(page[-1])}</NextContinuationToken>" if more else ""
        text = (
            "<?xml version='1.0' encoding='UTF-8'?><ListBucketResult xmlns='http://doc.s3.amazonaws.com/2006-03-01'>"
            f"<Name>{BUCKET}</Name><Prefix>{escape(prefix)}</Prefix><IsTruncated>{str(more).lower()}</IsTruncated>"
            f"<KeyCount>{len(page)}</KeyCount>{token}{contents}</ListBucketResult>"
        )
        return Answer(200, {"Content-Type": "application/xml"}, text.encode())

    def _listed(self, name: str) -> str:
        live = self.objects[name]
        at = datetime.fromtimestamp(live.at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return (
            f"<Contents><Key>{escape(name)}</Key><Generation>{live.generation}</Generation>"
            f"<MetaGeneration>1</MetaGeneration><LastModified>{at}</LastModified>"
            f"<ETag>{escape(live.headers['ETag'])}</ETag><Size>{len(live.content)}</Size></Contents>"
        )


@cache
def _key() -> rsa.RSAPrivateKey:
    """The service account's: one, because making it takes a while."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


@contextmanager
def gcs() -> Iterator[GcsServer]:
    state = GcsServer()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def handle_any(self) -> None:
            headers = {name.lower(): text for name, text in self.headers.items()}
            length = int(headers.get("content-length", 0))
            body = self.rfile.read(length)
            if len(body) < length:
                return  # the connection was cut
            with state.turn:
                found = state.answer(self.command, self.path, headers, body)
                is_lost = state.lost_answers > 0 and self.command == "PUT" and found.status == 200
                state.lost_answers -= is_lost
            if is_lost:
                self.close_connection = True
                return
            with suppress(ConnectionError):  # who asked may be gone by now
                self.send_response(found.status)
                for name, text in {**found.headers, "Content-Length": str(len(found.body))}.items():
                    self.send_header(name, text)
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(found.body)

        def log_message(self, format: str, *args: object) -> None:
            """Nobody reads it."""

    for method in ("GET", "HEAD", "PUT", "POST", "DELETE"):
        setattr(Handler, f"do_{method}", Handler.handle_any)
    with served(Handler) as port:
        state.address = f"http://127.0.0.1:{port}"
        yield state
