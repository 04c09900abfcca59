"""Ports of a replica: chosen on its node, and held until the engine takes them."""

import random
import socket

# Below the kernel's ephemeral range, above what services use.
FIRST_PORT = 20_000
LAST_PORT = 31_999
TRIES_MAX = 200


class HeldPorts:
    """Runs of free ports, bound so that nobody else takes them before `release`."""

    def __init__(self, host: str, requests: list[dict[str, object]]) -> None:
        self.ports: dict[str, int] = {}
        self._sockets: list[socket.socket] = []
        for request in requests:
            self.ports[str(request["name"])] = self._hold(host, int(str(request["span"])))

    def _hold(self, host: str, span: int) -> int:
        for _ in range(TRIES_MAX):
            first = random.randint(FIRST_PORT, LAST_PORT - span)
            held: list[socket.socket] = []
            try:
                for port in range(first, first + span):
                    held.append(bound(host, port))
            except OSError:
                for one in held:
                    one.close()
                continue
            self._sockets.extend(held)
            return first
        raise OSError(f"no run of {span} free ports in {FIRST_PORT}-{LAST_PORT} on {host}")

    def release(self) -> None:
        for one in self._sockets:
            one.close()
        self._sockets.clear()


def bound(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    one = socket.socket(family, socket.SOCK_STREAM)
    try:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        one.bind((host, port))
    except OSError:
        one.close()
        raise
    return one
