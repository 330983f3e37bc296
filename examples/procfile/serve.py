"""Answers every GET with the greeting that release.sh wrote, and with the revision."""

import http.server
import os
import pathlib


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        storage = os.environ.get("SLIPWAY_STORAGE")
        greeting = pathlib.Path(storage, "greeting.txt").read_text() if storage else "No storage\n"
        body = f"{greeting}Procfile app, revision {os.environ.get('SLIPWAY_REVISION', 'unknown')}\n".encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format, *args):
        pass


if __name__ == "__main__":
    http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
