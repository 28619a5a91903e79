"""The language server that editors use for YAML, spoken to as an editor does: JSON-RPC over its stdin and stdout."""

from __future__ import annotations

import json
import subprocess
from itertools import count
from pathlib import Path
from typing import Any, Self


class LanguageServer:
    """One server. Every text is a document of its own, so that what is told is never about an earlier one."""

    def __init__(self, program: Path, schema: Path) -> None:
        self._server = subprocess.Popen(
            ["node", str(program), "--stdio"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        self._settings = {
            "schemas": {schema.as_uri(): ["nexus.yaml"]},
            "schemaStore": {"enable": False},
            "validate": True,
            "completion": True,
            "hover": True,
        }
        self._numbers, self._documents = count(1), count(1)
        self._uri = ""
        self._diagnostics: list[dict[str, Any]] | None = None
        capabilities = {
            "workspace": {"configuration": True},
            "textDocument": {"completion": {"completionItem": {"snippetSupport": True}}},
        }
        self.ask("initialize", {"processId": None, "rootUri": None, "capabilities": capabilities})
        self._tell("initialized", {})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.kill()
        self._server.wait()
        for pipe in (self._server.stdin, self._server.stdout):
            if pipe is not None:
                pipe.close()

    def diagnostics(self, text: str) -> list[dict[str, Any]]:
        """What the editor would underline in ``text``, which is the open document from now on."""
        self._uri, self._diagnostics = f"file:///project-{next(self._documents)}/nexus.yaml", None
        document = {"uri": self._uri, "languageId": "yaml", "version": 1, "text": text}
        self._tell("textDocument/didOpen", {"textDocument": document})
        while self._diagnostics is None:
            self._take(self._receive())
        return self._diagnostics

    def completions(self, line: int, character: int) -> set[str]:
        found = self._at("textDocument/completion", line, character)
        items = found["items"] if isinstance(found, dict) else found
        return {item["label"] for item in items}

    def hover(self, line: int, character: int) -> str:
        found = self._at("textDocument/hover", line, character)
        return "" if found is None else str(found["contents"]["value"])

    def ask(self, method: str, parameters: dict[str, Any]) -> Any:
        number = next(self._numbers)
        self._send({"id": number, "method": method, "params": parameters})
        while True:
            message = self._receive()
            if message.get("id") == number and "method" not in message:
                assert "error" not in message, message
                return message["result"]
            self._take(message)

    def _at(self, method: str, line: int, character: int) -> Any:
        return self.ask(
            method, {"textDocument": {"uri": self._uri}, "position": {"line": line, "character": character}}
        )

    def _take(self, message: dict[str, Any]) -> None:
        """What the server asks for or tells by itself."""
        match message.get("method"):
            case "workspace/configuration":
                answers = [
                    self._settings if item.get("section") == "yaml" else {} for item in message["params"]["items"]
                ]
                self._send({"id": message["id"], "result": answers})
            case "textDocument/publishDiagnostics" if message["params"]["uri"] == self._uri:
                self._diagnostics = message["params"]["diagnostics"]
            case str() if "id" in message:
                self._send({"id": message["id"], "result": None})
            case _:
                pass

    def _tell(self, method: str, parameters: dict[str, Any]) -> None:
        self._send({"method": method, "params": parameters})

    def _send(self, message: dict[str, Any]) -> None:
        assert self._server.stdin is not None
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        self._server.stdin.write(b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
        self._server.stdin.flush()

    def _receive(self) -> dict[str, Any]:
        assert self._server.stdout is not None
        length = 0
        while line := self._server.stdout.readline().strip():
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        assert length, "the language server has ended"
        message: dict[str, Any] = json.loads(self._server.stdout.read(length))
        return message
