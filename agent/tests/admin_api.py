"""A proxy that is told of its members through calls."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class AdminApi:
    """A proxy's admin API that does as it is told, or answers what a test wants."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.bodies: list[Any] = []
        self.headers: list[str | None] = []
        self.members: set[str] = set()
        self.answers: dict[str, int] = {}
        self.hang_up_after: str | None = None
        api = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers.get("content-length") or 0)
                body = json.loads(self.rfile.read(length)) if length else None
                api.calls.append(f"{self.command} {self.path}")
                api.bodies.append(body)
                api.headers.append(self.headers.get("x-api-key"))
                verb, member = self.path.strip("/").split("/")[:2] if self.path.count("/") > 1 else (self.path, "")
                status = api.answers.get(self.path, 200)
                if status == 200 and verb == "add":
                    api.members.add(member)
                if status == 200 and verb == "remove":
                    api.members.discard(member)
                if api.hang_up_after == self.path:
                    api.hang_up_after = None
                    self.connection.close()
                    return
                text = json.dumps(sorted(api.members)) if self.path == "/list" else "as\nyou\twish"
                self.send_response(status)
                self.end_headers()
                self.wfile.write(text.encode())

            do_GET = do_POST

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.base = f"http://127.0.0.1:{self.server.server_port}"
