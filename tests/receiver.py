"""An endpoint for callbacks on this machine: records requests and answers with a status that a test sets."""

import base64
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

KEY = bytes(range(32))
SECRET = "whsec_" + base64.b64encode(KEY).decode()


class Endpoint(HTTPServer):
    """The server: the headers and bodies that it received, and the status of its answers."""

    def __init__(self):
        self.status, self.headers_seen, self.bodies = 204, [], []
        super().__init__(("127.0.0.1", 0), Receiver)


class Receiver(BaseHTTPRequestHandler):
    """Records each request."""

    def do_POST(self):
        self.server.headers_seen.append(dict(self.headers))
        self.server.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(self.server.status)
        self.send_header("Location", f"http://127.0.0.1:{self.server.server_port}/elsewhere")
        self.end_headers()

    def log_message(self, *_arguments):
        """Log nothing."""


@contextmanager
def listening() -> Iterator[Endpoint]:
    """Listen on a free port while the `with` block lasts."""
    server = Endpoint()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
