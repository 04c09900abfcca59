"""The built-in proxy's admin socket: HTTP over a Unix socket."""

import contextlib
import hashlib
import http.client
import json
import os
import socket
import threading
from typing import Any

TIMEOUT_S = 2.0


class Admin:
    """What one process of the built-in proxy is told, and answers. `last` is the newest status that it told."""

    def __init__(self, *owner: object) -> None:
        # By its owner, so that a proxy that ends late cannot remove the socket of one that came after it.
        digest = hashlib.sha256("\0".join(map(str, owner)).encode()).hexdigest()[:12]
        self.path = f"/tmp/pdjob-{digest}.sock"
        self.last: dict[str, Any] | None = None
        self._lock = threading.Lock()

    def is_up(self, first: dict[str, Any] | None) -> bool:
        """Its first members come with the question: it listens once it has them. 409 = it has newer ones already."""
        body = None if self.last else first
        method, target = ("PUT", "/membership") if body else ("GET", "/status")
        answer = ask(self.path, method, target, body)
        if answer is None or answer[0] not in (200, 409):
            return False
        self._hear(answer[1])
        return True

    def put(self, target: str, body: dict[str, Any] | None = None) -> tuple[int, dict[str, Any]] | None:
        answer = ask(self.path, "PUT", target, body)
        if answer is not None and answer[0] == 200:
            self._hear(answer[1])
        return answer

    def remove(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path)

    def _hear(self, body: dict[str, Any]) -> None:
        """A status that was asked for before a newer membership arrived tells the past."""
        with self._lock:
            if self.last is None or body["generation"] >= self.last["generation"]:
                self.last = body


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=TIMEOUT_S)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(TIMEOUT_S)
        self.sock.connect(self._path)


def ask(path: str, method: str, target: str, body: dict[str, Any] | None = None) -> tuple[int, dict[str, Any]] | None:
    """Status and parsed body; None when the socket does not answer."""
    connection = UnixConnection(path)
    try:
        text = None if body is None else json.dumps(body)
        connection.request(method, target, text, {"content-type": "application/json"})
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    except (OSError, http.client.HTTPException, ValueError):
        return None
    finally:
        connection.close()
