"""The listening socket of the built-in proxy: held by the proxy's actor, and handed on to the next generation's.

As long as one actor holds it, clients' connections wait in the kernel's backlog while no process accepts them, instead
of being refused. The process under the guard inherits a copy; so does, over a Unix socket, the actor that comes next.
"""

import contextlib
import os
import secrets
import socket
import struct
import threading

# Connections that wait to be accepted; those past it are dropped, and their clients try again.
BACKLOG = 511
HAND_ON_TIMEOUT_S = 2.0


class Listener:
    """A socket that listens, whoever made it. Thread-safe."""

    def __init__(self, one: socket.socket) -> None:
        self._socket = one
        self._door: socket.socket | None = None
        self._door_name = f"pdjob-{secrets.token_hex(16)}"
        self._lock = threading.Lock()

    def fileno(self) -> int:
        return self._socket.fileno()

    def hand_on(self) -> str:
        """The name under which another process of this user and machine gets a copy, with `take_over`."""
        with self._lock:
            if self._door is None:
                # An abstract name: nothing of it is left when we are killed.
                door = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
                door.bind(f"\0{self._door_name}")
                door.listen()
                self._door = door
                threading.Thread(target=self._serve, args=(door,), daemon=True).start()
        return self._door_name

    def close(self) -> None:
        """Copies that others hold stay open."""
        with self._lock:
            self._socket.close()
            if self._door:
                with contextlib.suppress(OSError):
                    self._door.shutdown(socket.SHUT_RDWR)  # Or the thread would wait for ever.
                self._door.close()

    def _serve(self, door: socket.socket) -> None:
        while True:
            try:
                connection, _ = door.accept()
            except OSError:
                return
            with connection, contextlib.suppress(OSError, ValueError):
                connection.settimeout(HAND_ON_TIMEOUT_S)
                # Abstract names know no permissions.
                if user_of(connection) == os.getuid():
                    socket.send_fds(connection, [b"."], [self._socket.fileno()])


def listen_on(host: str, port: int) -> Listener:
    """Raises OSError; TIME_WAIT of earlier connections is no reason."""
    one = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    try:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        one.bind((host, port))
        one.listen(BACKLOG)
    except OSError:
        one.close()
        raise
    return Listener(one)


def obtain(sockets: list[str], host: str, port: int) -> Listener:
    """That of an earlier generation, if one hands it on: no client is refused meanwhile. Raises OSError."""
    for name in sockets:
        found = take_over(name, host, port)
        if found:
            return found
    return listen_on(host, port)


def take_over(name: str, host: str, port: int) -> Listener | None:
    """None when nobody hands it on, or hands on something else."""
    fds: list[int] = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking, contextlib.suppress(OSError):
        asking.settimeout(HAND_ON_TIMEOUT_S)
        asking.connect(f"\0{name}")
        if user_of(asking) == os.getuid():
            fds = list(socket.recv_fds(asking, 1, 1)[1])
    if not fds:
        return None
    os.set_inheritable(fds[0], False)
    one = socket.socket(fileno=fds[0])
    is_listening = one.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    if one.family == socket.AF_UNIX or not is_listening or one.getsockname()[:2] != (host, port):
        one.close()
        return None
    return Listener(one)


def user_of(connection: socket.socket) -> int:
    """Of the process at the other end."""
    credentials = struct.Struct("3i")  # pid, uid, gid
    packed = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, credentials.size)
    return int(credentials.unpack(packed)[1])
