"""Ports of a replica: chosen on its node, and held until the engine takes them."""

import errno
import random
import resource
import socket
from typing import Any

# Below the kernel's ephemeral range, above what services use.
FIRST_PORT = 20_000
LAST_PORT = 31_999
TRIES_MAX = 200
# Open files that Ray's worker needs beside the ports it holds.
OTHER_FILES = 256
HAS_IPV6 = socket.has_dualstack_ipv6()


class HeldPorts:
    """Runs of free ports, bound so that nobody else takes them before `release`. `http` is always among them."""

    def __init__(self, requests: list[dict[str, Any]]) -> None:
        self.ports: dict[str, int] = {}
        self._sockets: list[socket.socket] = []
        spans = {"http": 1, **{str(request["name"]): int(request["span"]) for request in requests}}
        for name, span in spans.items():
            self.ports[name] = self._hold(name, span)

    def _hold(self, name: str, span: int) -> int:
        if span > LAST_PORT - FIRST_PORT + 1:
            count = LAST_PORT - FIRST_PORT + 1
            text = f"it asks for {span} contiguous ports ({name}), and there are {count} in {FIRST_PORT}-{LAST_PORT}"
            raise OSError(text)
        for _ in range(TRIES_MAX):
            first = random.randint(FIRST_PORT, LAST_PORT - span + 1)
            held: list[socket.socket] = []
            try:
                for port in range(first, first + span):
                    held.append(held_port(port))
            except OSError as error:
                for one in held:
                    one.close()
                if error.errno in (errno.EMFILE, errno.ENFILE):
                    self.release()
                    raise OSError(too_many_files(name, span)) from error
                continue
            self._sockets.extend(held)
            return first
        self.release()
        raise OSError(f"no run of {span} free ports ({name}) was found in {FIRST_PORT}-{LAST_PORT}")

    def release(self) -> None:
        for one in self._sockets:
            one.close()
        self._sockets.clear()


def held_port(port: int) -> socket.socket:
    """On every address, since engines listen on several; without SO_REUSEADDR, with which two could hold one port."""
    one = socket.socket(socket.AF_INET6 if HAS_IPV6 else socket.AF_INET, socket.SOCK_STREAM)
    try:
        if HAS_IPV6:
            one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        one.bind(("", port))
    except OSError:
        one.close()
        raise
    return one


def too_many_files(name: str, span: int) -> str:
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return (
        f"holding {span} ports ({name}) takes more than the {limit} open files that a process may have there. "
        f"Ask for a smaller span, or start Ray on that node with a higher limit (ulimit -n {span + OTHER_FILES})"
    )


def port_problem(host: str, port: int) -> str | None:
    """Why nobody can listen there now; TIME_WAIT is no reason."""
    one = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    try:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        one.bind((host, port))
    except OSError as error:
        return error.strerror or str(error)
    finally:
        one.close()
    return None
