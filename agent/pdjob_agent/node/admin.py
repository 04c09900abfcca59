"""The built-in proxy's admin socket: HTTP over a Unix socket."""

import http.client
import json
import socket
from typing import Any

TIMEOUT_S = 2.0


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
