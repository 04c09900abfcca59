"""
Ports of a replica: chosen on its node, and held until the engine takes them.

They are given in turn, from where the one before ended, whichever job and cluster that was of: a port comes again only
when all others have had theirs. So clients, connections in TIME_WAIT and handshakes of an engine that is gone do not
meet the next one. Actors are processes of their own, so where to go on is in a small file of the node.
"""

import contextlib
import errno
import fcntl
import os
import random
import resource
import socket
import stat
import tempfile
import time
from collections.abc import Generator
from typing import Any

# Below the kernel's ephemeral range, above what services use.
FIRST_PORT = 20_000
LAST_PORT = 31_999
# Open files that Ray's worker needs beside the ports it holds.
OTHER_FILES = 256
HAS_IPV6 = socket.has_dualstack_ipv6()
# Others hold the turn for milliseconds. Past it, or without the file, chance takes its place.
TURN_WAIT_S = 2.0
TURN_POLL_S = 0.01
TURN_BYTES_MAX = 16


class HeldPorts:
    """Runs of free ports, bound so that nobody else takes them before `release`. `http` is always among them."""

    def __init__(self, requests: list[dict[str, Any]]) -> None:
        self.ports: dict[str, int] = {}
        self._sockets: list[socket.socket] = []
        spans = {"http": 1, **{str(request["name"]): int(request["span"]) for request in requests}}
        with turn() as whose:
            for name, span in spans.items():
                self.ports[name] = self._hold(name, span, whose)

    def _hold(self, name: str, span: int, whose: "Turn") -> int:
        count = LAST_PORT - FIRST_PORT + 1
        if span > count:
            text = f"it asks for {span} contiguous ports ({name}), and there are {count} in {FIRST_PORT}-{LAST_PORT}"
            raise OSError(text)
        first, tried = whose.next, 0
        while tried < count + span:
            if first + span - 1 > LAST_PORT:
                tried += LAST_PORT - first + 1
                first = FIRST_PORT
                continue
            taken = self._take(name, first, span)
            if taken is None:
                whose.next = first + span
                return first
            tried += taken - first + 1
            first = taken + 1
        self.release()
        raise OSError(f"no run of {span} free ports ({name}) was found in {FIRST_PORT}-{LAST_PORT}")

    def _take(self, name: str, first: int, span: int) -> int | None:
        """The port that somebody else has; None when all are held now."""
        held: list[socket.socket] = []
        for port in range(first, first + span):
            try:
                held.append(held_port(port))
            except OSError as error:
                for one in held:
                    one.close()
                if error.errno in (errno.EMFILE, errno.ENFILE):
                    self.release()
                    raise OSError(too_many_files(name, span)) from error
                return port
        self._sockets.extend(held)
        return None

    def release(self) -> None:
        for one in self._sockets:
            one.close()
        self._sockets.clear()


class Turn:
    """`next`: where whoever chooses ports now begins, and where the one after begins when it is over."""

    def __init__(self, begin: int) -> None:
        self.next = begin


@contextlib.contextmanager
def turn() -> Generator[Turn]:
    """One at a time on a node, as far as that can be had: every port is tried in any case."""
    file = turn_file()
    try:
        whose = Turn(begin_of(file))
        yield whose
        if file is not None:
            with contextlib.suppress(OSError):
                os.pwrite(file, f"{whose.next:<{TURN_BYTES_MAX}}".encode(), 0)
    finally:
        if file is not None:
            os.close(file)  # That gives up the lock.


def begin_of(file: int | None) -> int:
    with contextlib.suppress(OSError, ValueError):
        begin = int(os.pread(file, TURN_BYTES_MAX, 0)) if file is not None else 0
        if FIRST_PORT <= begin <= LAST_PORT + 1:
            return begin
    return random.randint(FIRST_PORT, LAST_PORT)


def turn_file() -> int | None:
    """Open and locked; a file of somebody else's is not touched."""
    path = os.path.join(tempfile.gettempdir(), f"pdjob-ports-{os.getuid()}")
    try:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, 0o600)
    except OSError:
        return None
    facts = os.fstat(file)
    until = time.monotonic() + TURN_WAIT_S
    while stat.S_ISREG(facts.st_mode) and facts.st_uid == os.getuid() and time.monotonic() < until:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return file
        except OSError:
            time.sleep(TURN_POLL_S)
    os.close(file)
    return None


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
