"""The proxy's actor without Ray, with a real process under a real guard."""

import os
import signal
import socket
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from pdjob_agent import node
from pdjob_agent.node.nodejs import node_problem
from pdjob_agent.node.proxy_actor import ProxyActor

from .no_ray import without_ray
from .processes import within
from .ray_rig import free_port

# On the admin socket as the built-in proxy, until it is told by a signal to be silent. Its clients hear its pid.
PROGRAM = """
import json, os, socket, socketserver, threading
state = {"generation": 0, "members": [], "inFlight": {}}
clients = socket.socket(fileno=int(os.environ['PDJOB_LISTEN_FD']))
def serve():
    while not state.get("leaving"):
        with clients.accept()[0] as client:
            client.sendall(str(os.getpid()).encode())
class Answer(socketserver.StreamRequestHandler):
    def handle(self):
        method, target, _ = self.rfile.readline().split()
        size = 0
        while line := self.rfile.readline().strip():
            if line.lower().startswith(b'content-length:'): size = int(line.split(b':')[1])
        if target == b'/membership':
            first = state["generation"] == 0
            state.update(json.loads(self.rfile.read(size)))
            if first: threading.Thread(target=serve, daemon=True).start()
        if target == b'/retired': state["leaving"] = 1
        body = json.dumps(state).encode()
        self.wfile.write(b'HTTP/1.1 200 OK\\r\\ncontent-length: %d\\r\\n\\r\\n%s' % (len(body), body))
server = socketserver.ThreadingUnixStreamServer(os.environ['PDJOB_ADMIN_SOCKET'], Answer)
print('last words', flush=True)
server.serve_forever()
"""
FIRST: dict[str, Any] = {"generation": 2, "members": []}
MEMBERSHIP: dict[str, Any] = {"generation": 3, "members": []}


def new_actor(generation: int) -> ProxyActor:
    source = files(node).joinpath("guard.py").read_text()
    return ProxyActor(f"t{os.getpid()}-proxy-g{generation}", generation, 0, source)


@pytest.fixture
def actor(monkeypatch: pytest.MonkeyPatch) -> Iterator[ProxyActor]:
    without_ray(monkeypatch, ProxyActor)
    one = new_actor(1)
    yield one
    one.stop(0.1)


@pytest.fixture
def heir(actor: ProxyActor) -> Iterator[ProxyActor]:
    one = new_actor(2)
    yield one
    one.stop(0.1)


def spec_of(cwd: Path, port: int) -> dict[str, Any]:
    spec: dict[str, Any] = {"argv": [sys.executable, "-c", PROGRAM], "env": {}, "cwd": str(cwd), "files": []}
    return spec | {"host": "127.0.0.1", "port": port, "builtin": True, "specHash": "s", "membership": FIRST}


def start_with(actor: ProxyActor, spec: dict[str, Any]) -> int:
    assert "error" not in actor.start(spec)
    assert within(10, lambda: actor.status()["state"] == "healthy")
    return int(actor.status()["pid"])


def start(actor: ProxyActor, cwd: Path) -> int:
    return start_with(actor, spec_of(cwd, free_port()))


def who_serves(port: int) -> int:
    """The pid of the process that a client comes to, however long it waits. Refused = an exception."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        return int(client.recv(20))


def error_of(answer: dict[str, Any]) -> tuple[str, str]:
    return answer["error"]["code"], answer["error"]["message"]


def test_it_is_given_its_first_members_before_anybody_else_can_tell_it(actor: ProxyActor, tmp_path: Path) -> None:
    start(actor, tmp_path)
    assert actor.status()["membership"] == FIRST


def test_clients_of_a_process_that_ended_wait_for_the_next_one_that_is_asked_for(
    actor: ProxyActor, tmp_path: Path
) -> None:
    port = free_port()
    spec = spec_of(tmp_path, port)
    first = start_with(actor, spec)
    assert who_serves(port) == first
    os.kill(first, signal.SIGKILL)
    assert within(5, lambda: actor.status()["state"] == "exited")
    # Who asks again for what has ended starts nothing.
    assert actor.start(spec)["state"] == "exited"
    with ThreadPoolExecutor() as threads:
        waiting = [threads.submit(who_serves, port) for _ in range(5)]
        next_spec = {**spec, "run": 2, "membership": MEMBERSHIP}
        second = start_with(actor, next_spec)
        assert [one.result() for one in waiting] == [second] * 5
    assert (actor.start(next_spec)["pid"], actor.status()["run"]) == (second, 2)
    assert actor.status()["membership"] == MEMBERSHIP


def test_the_next_generation_listens_on_the_same_socket_and_nobody_is_refused(
    actor: ProxyActor, heir: ProxyActor, tmp_path: Path
) -> None:
    port = free_port()
    first = start_with(actor, spec_of(tmp_path, port))
    sockets = [actor.hand_on()["socket"]]
    second = start_with(heir, {**spec_of(tmp_path, port), "sockets": sockets})
    assert within(5, lambda: who_serves(port) == second)
    assert actor.retire() == {"retired": True}
    assert actor.status()["leaving"] == 1
    who_serves(port)  # The first may have been waiting for one more.
    assert [who_serves(port) for _ in range(20)] == [second] * 20
    actor.stop(1)
    assert actor.hand_on() == {}
    assert not os.path.exists(f"/proc/{first}")
    assert [who_serves(port) for _ in range(20)] == [second] * 20
    heir.stop(1)
    with pytest.raises(ConnectionRefusedError):
        who_serves(port)


def test_a_socket_that_is_not_to_be_had_any_more_is_made_anew(
    actor: ProxyActor, heir: ProxyActor, tmp_path: Path
) -> None:
    port = free_port()
    start_with(actor, spec_of(tmp_path, port))
    sockets = [actor.hand_on()["socket"]]
    actor.stop(1)
    second = start_with(heir, {**spec_of(tmp_path, port), "sockets": sockets})
    assert who_serves(port) == second


def test_a_port_that_somebody_else_has_is_named(actor: ProxyActor, heir: ProxyActor, tmp_path: Path) -> None:
    port = free_port()
    start_with(actor, spec_of(tmp_path, port))
    code, text = error_of(heir.start(spec_of(tmp_path, port)))
    assert code == "ProxyNotStarted"
    assert f"port {port} cannot be taken (Address already in use)" in text


def test_a_proxy_that_lives_acknowledges_its_members(actor: ProxyActor, tmp_path: Path) -> None:
    start(actor, tmp_path)
    assert actor.set_membership(MEMBERSHIP) == {"acknowledged": 3}


def test_members_for_a_process_that_ended_say_how_it_ended(actor: ProxyActor, tmp_path: Path) -> None:
    os.kill(start(actor, tmp_path), signal.SIGKILL)
    assert within(5, lambda: actor.status()["state"] == "exited")
    text = "The proxy was ended by SIGKILL. Its last lines:\nlast words"
    assert error_of(actor.set_membership(MEMBERSHIP)) == ("ProxyExited", text)


def test_members_for_a_process_that_hangs_may_be_tried_again(actor: ProxyActor, tmp_path: Path) -> None:
    pid = start(actor, tmp_path)
    os.kill(pid, signal.SIGSTOP)
    try:
        assert error_of(actor.set_membership(MEMBERSHIP))[0] == "RayUnreachable"
    finally:
        os.kill(pid, signal.SIGCONT)


def test_members_for_a_proxy_that_was_never_started_are_refused_for_good(actor: ProxyActor) -> None:
    assert error_of(actor.set_membership(MEMBERSHIP))[0] == "ProxyNotStarted"


ADVICE = "Install Node.js 20.19 or newer there (nodejs.org, or your system's packages), or set `scheduler.command`."


def test_a_built_in_proxy_without_node_says_how_to_get_it(actor: ProxyActor, tmp_path: Path) -> None:
    spec: dict[str, Any] = {"argv": ["node", "x"], "env": {"PATH": str(tmp_path)}, "cwd": str(tmp_path), "files": []}
    spec |= {"host": "127.0.0.1", "port": free_port(), "builtin": True, "specHash": "s"}
    code, text = error_of(actor.start(spec))
    assert code == "ProxyNotStarted"
    assert text.endswith(f": Node.js is not on its PATH, and the built-in proxy needs it. {ADVICE}")


@pytest.mark.parametrize(
    ("script", "what"),
    [
        ("echo v20.18.3", "v20.18.3"),
        ("echo hello", "hello"),
        ("exit 1", "broken"),
        ("echo v20.19.0", None),
        ("echo v24.1.0", None),
    ],
)
def test_a_node_that_is_too_old_or_none_at_all_is_no_node(tmp_path: Path, script: str, what: str | None) -> None:
    program = tmp_path / "node"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    problem = f"its Node.js ({program}) is {what}. {ADVICE}" if what else None
    assert node_problem(str(tmp_path)) == problem
