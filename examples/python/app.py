"""A unit converter over HTTP, with Python's standard library alone."""

import http.server
import json
import os
import signal
import threading
import urllib.parse

from convert import convert


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers one request."""

    protocol_version = "HTTP/1.1"
    revision = os.environ.get("SLIPWAY_REVISION", "unknown")

    def do_GET(self):
        url = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(url.query))
        if url.path == "/up":
            self.answer(200, {"up": True})
        elif url.path == "/":
            self.answer(200, {"app": "converter in Python", "revision": self.revision})
        elif url.path == "/convert":
            self.convert(query)
        else:
            self.answer(404, {"error": "not found"})

    def convert(self, query):
        try:
            value = convert(float(query["value"]), query["from"], query["to"])
        except KeyError as error:
            self.answer(400, {"error": f"missing or unknown: {error.args[0]}"})
        except ValueError as error:
            self.answer(400, {"error": str(error)})
        else:
            self.answer(200, {"value": value})

    def answer(self, status, body):
        data = (json.dumps(body) + "\n").encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format, *args):
        pass


def make_server(port):
    """Return a server that listens on the port and does not answer yet."""
    return http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)


def main():
    server = make_server(int(os.environ["PORT"]))
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    print(f"converter, revision {Handler.revision}, on port {server.server_port}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
