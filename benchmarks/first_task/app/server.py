"""Serves the page below the greeting that the environment has."""

import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import markdown


class Page(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        text = Path(__file__).with_name("page.md").read_text()
        body = markdown.markdown(f"# {os.environ['GREETING']}\n\n{text}").encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    ThreadingHTTPServer(("", 8000), Page).serve_forever()
