"""A function is any HTTP endpoint: it takes the event as JSON and answers with JSON."""

import json
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Function(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # keep connections open between invocations

    def do_POST(self):
        event = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        celsius = event["celsius"]
        self.answer(
            200,
            {
                "sensor": event["sensor"],
                "fahrenheit": round(celsius * 9 / 5 + 32, 1),
                "topic": self.headers["X-Topicwire-Topic"],
            },
        )

    def answer(self, status, document):
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


if __name__ == "__main__":
    port = int(os.environ.get("PORT", "3000"))
    server = ThreadingHTTPServer(("127.0.0.1", port), Function)
    print(f"listening on http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()
