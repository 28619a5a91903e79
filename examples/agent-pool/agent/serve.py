"""Takes a task at a time by HTTP and answers how it went: the place for an agent's own loop."""

import json
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

tasks = 0


class Tasks(BaseHTTPRequestHandler):
    def do_POST(self):
        global tasks
        tasks += 1
        task = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        print("task", tasks, "is:", task)
        answer = {"agent": os.environ["AGENT"], "task": task, "number": tasks}
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(answer).encode() + b"\n")


ThreadingHTTPServer(("0.0.0.0", 7000), Tasks).serve_forever()
