"""Keeps the last notes that were posted, in a file."""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

LIMIT = int(sys.argv[1])
FILE = Path(__file__).with_name("notes.json")


def read() -> list[str]:
    return json.loads(FILE.read_text()) if FILE.exists() else []


class Notes(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self._answer(read())

    def do_POST(self) -> None:
        text = self.rfile.read(int(self.headers["Content-Length"])).decode()
        notes = [*read(), text][-LIMIT:]
        FILE.write_text(json.dumps(notes))
        self._answer(notes)

    def _answer(self, notes: list[str]) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(notes).encode() + b"\n")


ThreadingHTTPServer(("", 8000), Notes).serve_forever()
