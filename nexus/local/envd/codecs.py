"""How messages of the RPC services are read: what can't be is the caller's fault, and said so."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar

from connectrpc.code import Code
from connectrpc.codec import Codec, proto_binary_codec, proto_json_codec
from connectrpc.errors import ConnectError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class CheckedCodec:
    """A codec whose failures to read are ``invalid_argument``, as envd's are, and not of unknown cause."""

    codec: Codec[Any, Any]

    def name(self) -> str:
        return self.codec.name()

    def encode(self, message: Any) -> bytes:
        return self.codec.encode(message)

    def decode(self, data: bytes | bytearray, message_class: type[T]) -> T:
        try:
            # Never bytes for JSON: it would guess at UTF-16, whose codec can't be imported inside a machine.
            text: Any = bytes(data).decode() if self.codec.name() == "json" else data
            read: T = self.codec.decode(text, message_class)
        except Exception as problem:
            raise ConnectError(Code.INVALID_ARGUMENT, f"unmarshal message: {problem}") from problem
        return read


CODECS = (CheckedCodec(proto_binary_codec()), CheckedCodec(proto_json_codec()))
