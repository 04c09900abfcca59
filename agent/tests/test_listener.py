"""The proxy's listening socket: made, held, handed on, closed."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from pdjob_agent.node import listener as module
from pdjob_agent.node.listener import Listener, listen_on, take_over

from .ray_rig import accepts, free_port

HOST = "127.0.0.1"


@pytest.fixture
def held() -> Iterator[tuple[Listener, int]]:
    port = free_port()
    one = listen_on(HOST, port)
    yield one, port
    one.close()


def test_who_connects_before_anybody_accepts_waits_and_is_served_by_whoever_holds_a_copy_later(
    held: tuple[Listener, int],
) -> None:
    first, port = held
    with socket.create_connection((HOST, port), timeout=5) as client:
        client.sendall(b"hello")
        second = take_over(first.hand_on(), HOST, port)
        assert second
        first.close()
        accepting = socket.socket(fileno=os.dup(second.fileno()))
        with accepting, accepting.accept()[0] as served:
            assert served.recv(5) == b"hello"
        assert accepts(HOST, port)
        second.close()
    assert not accepts(HOST, port)


def test_it_is_handed_on_as_often_as_somebody_asks_and_not_once_it_is_closed(held: tuple[Listener, int]) -> None:
    first, port = held
    name = first.hand_on()
    assert first.hand_on() == name
    copies = [take_over(name, HOST, port) for _ in range(3)]
    for one in copies:
        assert one
        one.close()
    first.close()
    assert take_over(name, HOST, port) is None


def test_one_that_listens_elsewhere_than_wanted_is_not_taken(held: tuple[Listener, int]) -> None:
    first, port = held
    assert take_over(first.hand_on(), HOST, port + 1) is None
    assert take_over(first.hand_on(), "0.0.0.0", port) is None


def test_nobody_of_another_user_gets_it(held: tuple[Listener, int], monkeypatch: pytest.MonkeyPatch) -> None:
    first, port = held
    name = first.hand_on()
    monkeypatch.setattr(module, "user_of", lambda _connection: os.getuid() + 1)  # pyright: ignore
    assert take_over(name, HOST, port) is None


def test_one_that_is_taken_over_is_no_business_of_processes_that_are_started_later(
    held: tuple[Listener, int],
) -> None:
    first, port = held
    second = take_over(first.hand_on(), HOST, port)
    assert second
    look = f"import os; os.fstat({second.fileno()})"
    done = subprocess.run([sys.executable, "-c", look], close_fds=False, capture_output=True, check=False)
    assert done.returncode == 1
    second.close()


def test_a_port_that_somebody_has_cannot_be_listened_on(held: tuple[Listener, int]) -> None:
    with pytest.raises(OSError, match="in use"):
        listen_on(HOST, held[1])
