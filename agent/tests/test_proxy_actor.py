"""The proxy's actor without Ray, with a real process under a real guard."""

import os
import signal
import sys
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from pdjob_agent import node
from pdjob_agent.node.proxy_actor import ProxyActor, node_problem

from .no_ray import without_ray
from .processes import within
from .ray_rig import free_port

# Answers on the admin socket as the built-in proxy does, until it is told by a signal to be silent.
PROGRAM = """
import os, signal, socketserver, sys
body = b'{"generation": 3, "members": [], "inFlight": {}}'
class Answer(socketserver.StreamRequestHandler):
    def handle(self):
        while self.rfile.readline().strip(): pass
        self.wfile.write(b'HTTP/1.1 200 OK\\r\\ncontent-length: %d\\r\\n\\r\\n%s' % (len(body), body))
server = socketserver.ThreadingUnixStreamServer(os.environ['PDJOB_ADMIN_SOCKET'], Answer)
print('last words', flush=True)
server.serve_forever()
"""
MEMBERSHIP: dict[str, Any] = {"generation": 3, "members": []}


@pytest.fixture
def actor(monkeypatch: pytest.MonkeyPatch) -> Iterator[ProxyActor]:
    without_ray(monkeypatch, ProxyActor)
    one = ProxyActor(f"t{os.getpid()}-proxy-g1", 1, 0, files(node).joinpath("guard.py").read_text())
    yield one
    one.stop(0.1)


def start(actor: ProxyActor, cwd: Path) -> int:
    spec: dict[str, Any] = {"argv": [sys.executable, "-c", PROGRAM], "env": {}, "cwd": str(cwd), "files": []}
    spec |= {"host": "127.0.0.1", "port": free_port(), "builtin": True, "specHash": "s"}
    assert "error" not in actor.start(spec)
    assert within(10, lambda: actor.status()["state"] == "healthy")
    return int(actor.status()["pid"])


def error_of(answer: dict[str, Any]) -> tuple[str, str]:
    return answer["error"]["code"], answer["error"]["message"]


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
