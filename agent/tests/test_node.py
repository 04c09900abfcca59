import fcntl
import os
import socket
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from pdjob_agent.node.files import empty_below, remove, write_below
from pdjob_agent.node.health import Prober, answers_http
from pdjob_agent.node.load import requests_in
from pdjob_agent.node.ports import FIRST_PORT, LAST_PORT, HeldPorts, held_port, port_problem
from pdjob_agent.node.probe import interpreter_of


def test_ports_are_contiguous_runs_that_nobody_else_gets_until_they_are_released() -> None:
    held = HeldPorts([{"name": "side", "span": 4}])
    assert sorted(held.ports) == ["http", "side"]
    everything = [held.ports["http"], *range(held.ports["side"], held.ports["side"] + 4)]
    assert len(set(everything)) == 5
    assert all(FIRST_PORT <= port <= LAST_PORT for port in everything)
    for port in everything:
        assert port_problem("127.0.0.9", port) == "Address already in use"
        with pytest.raises(OSError):
            held_port(port)
    held.release()
    assert [port_problem("127.0.0.9", port) for port in everything] == [None] * 5


def test_a_port_on_which_somebody_listens_on_another_address_is_not_chosen() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.7", 0))
        other.listen()
        with pytest.raises(OSError):
            held_port(other.getsockname()[1])


def test_a_span_that_does_not_exist_is_an_error_that_holds_nothing() -> None:
    before = len(os.listdir("/proc/self/fd"))
    # More than the kernel lets one process bind, or than the range has.
    with pytest.raises((OSError, ValueError)):
        HeldPorts([{"name": "huge", "span": LAST_PORT - FIRST_PORT + 2}])
    assert len(os.listdir("/proc/self/fd")) <= before + 1


@pytest.fixture
def turn_of_a_node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a node of this test's own notes whose turn it is."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path / f"pdjob-ports-{os.getuid()}"


def runs_of(held: HeldPorts, side: int) -> set[int]:
    return {held.ports["http"], *range(held.ports["side"], held.ports["side"] + side)}


def test_ports_are_given_in_turn_so_that_none_comes_again_before_the_others(turn_of_a_node: Path) -> None:
    turn_of_a_node.write_text("25000")
    last = 24_999
    for _ in range(20):
        held = HeldPorts([{"name": "side", "span": 8}])
        assert last < min(runs_of(held, 8))
        last = max(runs_of(held, 8))
        held.release()
    assert last < 26_000
    turn_of_a_node.write_text(f"{LAST_PORT - 3}")
    held = HeldPorts([{"name": "side", "span": 8}])
    assert held.ports["http"] >= LAST_PORT - 3
    assert FIRST_PORT <= held.ports["side"] < FIRST_PORT + 100
    held.release()


def test_a_port_that_somebody_has_is_passed_over_and_the_span_stays_in_one_piece(turn_of_a_node: Path) -> None:
    first = HeldPorts([{"name": "side", "span": 4}])
    turn_of_a_node.write_text(str(first.ports["http"] - 2))
    second = HeldPorts([{"name": "side", "span": 4}])
    assert not runs_of(first, 4) & runs_of(second, 4)
    for held in (first, second):
        held.release()


def test_what_is_chosen_at_the_same_time_is_not_the_same(turn_of_a_node: Path) -> None:
    found: list[HeldPorts] = []
    threads = [
        threading.Thread(target=lambda: found.append(HeldPorts([{"name": "side", "span": 4}]))) for _ in range(8)
    ]
    for one in threads:
        one.start()
    for one in threads:
        one.join(30)
    ports = [port for held in found for port in runs_of(held, 4)]
    assert (len(ports), len(set(ports))) == (8 * 5, 8 * 5)
    for held in found:
        held.release()


@pytest.mark.parametrize("how", ["a link", "no number", "beyond the range", "a folder", "held for ever"])
def test_without_a_turn_ports_are_found_all_the_same(
    turn_of_a_node: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    monkeypatch.setattr("pdjob_agent.node.ports.TURN_WAIT_S", 0.1)
    other = turn_of_a_node.with_name("other")
    other.write_text("somebody's")
    if how == "a link":
        turn_of_a_node.symlink_to(other)
    elif how == "a folder":
        turn_of_a_node.mkdir()
    else:
        turn_of_a_node.write_text("x" if how == "no number" else "99999")
    with open(other if how != "held for ever" else turn_of_a_node) as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        held = HeldPorts([{"name": "side", "span": 4}])
    assert all(FIRST_PORT <= port <= LAST_PORT for port in runs_of(held, 4))
    held.release()
    assert other.read_text() == "somebody's"


def test_healthy_needs_one_answer_unhealthy_three_failures_and_one_answer_heals() -> None:
    answers = iter([False, False, False, False, True, False, False, True, False, False, False, True])
    states: list[str] = []
    made = threading.Event()
    done = threading.Event()

    def probe() -> bool:
        made.wait()  # It may probe before we have it.
        states.append(prober.state)
        answer = next(answers, None)
        if answer is None:
            done.set()
        return bool(answer)

    prober = Prober(probe, 0.002)
    made.set()
    assert done.wait(20)
    prober.stop()
    expected = ["starting"] * 5 + ["healthy"] * 6 + ["unhealthy", "healthy"]
    assert states[: len(expected)] == expected


@pytest.mark.parametrize(("status", "healthy"), [(200, True), (503, False), (302, False)])
def test_only_status_200_is_healthy(status: int, healthy: bool) -> None:
    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == "/health" else 200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    assert answers_http("127.0.0.1", server.server_port, "/health", 2) is healthy
    server.shutdown()
    server.server_close()
    assert answers_http("127.0.0.1", server.server_port, "/health", 2) is False


METRICS = """# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="a} b"} 2.0
vllm:num_requests_running{engine="1",model_name="m"} 1
# TYPE vllm:num_requests_waiting gauge
vllm:num_requests_waiting{engine="0",model_name="m"} 3e0
vllm:num_requests_waiting_by_reason{engine="0"} 99
vllm:num_requests_running_total 99
"""


@pytest.mark.parametrize(
    ("status", "text", "requests"), [(200, METRICS, 6), (200, "other 1\n", None), (404, METRICS, None)]
)
def test_an_engine_tells_how_many_requests_it_has(status: int, text: str, requests: int | None) -> None:
    class Metrics(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == "/metrics" else 500)
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Metrics)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    assert requests_in("127.0.0.1", server.server_port) == requests
    server.shutdown()
    server.server_close()
    assert requests_in("127.0.0.1", server.server_port) is None


def test_files_are_written_whole_below_the_working_directory_and_go_with_their_folder(tmp_path: Path) -> None:
    cwd = str(tmp_path / "job")
    place = write_below(cwd, ".pdjob/files/a-prefill-0-g1/lmcache.yaml", "ä: 1\n")
    assert place == f"{cwd}/.pdjob/files/a-prefill-0-g1/lmcache.yaml"
    write_below(cwd, ".pdjob/files/a-prefill-0-g1/lmcache.yaml", "ä: 2\n")
    other = write_below(cwd, ".pdjob/files/a-prefill-0-g1/other.json", "{}")
    assert Path(place).read_text(encoding="utf-8") == "ä: 2\n"
    assert sorted(os.listdir(os.path.dirname(place))) == ["lmcache.yaml", "other.json"]
    remove(place)
    remove(place)
    assert os.listdir(os.path.dirname(other)) == ["other.json"]
    remove(other)
    assert os.listdir(f"{cwd}/.pdjob/files") == []


def test_a_folder_is_empty_afterwards_whether_it_was_there_or_not(tmp_path: Path) -> None:
    cwd = str(tmp_path)
    write_below(cwd, ".pdjob/kv/a/deep/file", "x")
    write_below(cwd, ".pdjob/kv/b/file", "x")
    empty_below(cwd, ".pdjob/kv/a")
    empty_below(cwd, ".pdjob/kv/new")
    assert sorted(os.listdir(tmp_path / ".pdjob" / "kv")) == ["a", "b", "new"]
    assert os.listdir(tmp_path / ".pdjob" / "kv" / "a") == []
    assert os.listdir(tmp_path / ".pdjob" / "kv" / "b") == ["file"]


@pytest.mark.parametrize("path", ["/etc/passwd", "../other", ".pdjob/../../other", ".", ""])
def test_nothing_outside_of_the_working_directory_is_written_or_removed(tmp_path: Path, path: str) -> None:
    cwd = str(tmp_path / "job")
    (tmp_path / "other").mkdir()
    for change in (lambda: write_below(cwd, path, "x"), lambda: empty_below(cwd, path)):
        with pytest.raises(ValueError, match="is not below it"):
            change()
    assert sorted(os.listdir(tmp_path)) == ["other"]


@pytest.mark.parametrize(
    ("text", "python"),
    [
        ("#!/env/bin/python\nimport x", "/env/bin/python"),
        ("#! /env/bin/python3.12\nimport x", "/env/bin/python3.12"),
        ('#!/bin/sh\n@exec\' "/a path/bin/python3" "$0" "$@"\n\' @\nimport x', "/a path/bin/python3"),
        ('#!/bin/sh\n@exec\' /env/bin/python "$0" "$@"\n\' @\nimport x', "/env/bin/python"),
        ("#!/usr/bin/env python3\nimport x", None),
        ("#!/bin/sh\nexec /env/bin/python -m vllm", None),
        ("\x7fELF\xff", None),
    ],
)
def test_the_python_of_an_installed_script_is_what_its_first_lines_say(
    tmp_path: Path, text: str, python: str | None
) -> None:
    (tmp_path / "vllm").write_bytes(text.replace("@", "'" * 3).encode("latin-1"))
    (tmp_path / "vllm").chmod(0o755)
    assert interpreter_of(["vllm", "--version"], f"/nowhere:{tmp_path}", "/") == python
    assert interpreter_of(["./vllm", "--version"], "/nowhere", str(tmp_path)) == python
    assert interpreter_of(["nice", "vllm", "--version"], str(tmp_path), "/") is None
    assert interpreter_of(["other", "--version"], str(tmp_path), "/") is None
