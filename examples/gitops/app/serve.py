"""Greets whoever asks, and says how it is."""

import os
import socket
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

GREETING = "Hello"


class Service(BaseHTTPRequestHandler):
    def do_GET(self):
        text = "ok" if self.path == "/health" else f"{GREETING}, served by {socket.gethostname()}"
        self.send_response(200)
        self.end_headers()
        self.wfile.write(f"{text}\n".encode())

    def log_message(self, *arguments):
        if os.environ.get("LOG_LEVEL") == "debug":
            super().log_message(*arguments)


ThreadingHTTPServer(("", 8000), Service).serve_forever()
