"""Runs Python that is posted to it, in one namespace: what a request defines, the next one may use."""

import contextlib
import io
import os
import traceback
from http.server import BaseHTTPRequestHandler, HTTPServer

names = {"__name__": "session"}


def run(code):
    """Exit code, and all that the code wrote."""
    written = io.StringIO()
    with contextlib.redirect_stdout(written), contextlib.redirect_stderr(written):
        try:
            exec(compile(code, "<request>", "exec"), names)
        except BaseException:
            traceback.print_exc()
            return 1, written.getvalue()
    return 0, written.getvalue()


class Interpreter(BaseHTTPRequestHandler):
    def do_GET(self):
        self.answer(200, "ready\n")

    def do_POST(self):
        code = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        with open(os.environ["HISTORY"], "a") as history:
            print(code, file=history)
        failed, output = run(code)
        self.answer(422 if failed else 200, output)

    def answer(self, status, text):
        self.send_response(status)
        self.end_headers()
        self.wfile.write(text.encode())


HTTPServer(("0.0.0.0", 8888), Interpreter).serve_forever()
