import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pdjob_agent.node.guarded import GuardedProcess

from .processes import GONE_S, all_gone, kill_at_once, marked, parent_of, within
from .trees import AGENT, TREE, Tree


def exit_of(tree: Tree) -> tuple[int | None, str | None]:
    assert within(10, lambda: tree.process.exit is not None)
    exit_ = tree.process.exit or {}
    return exit_["code"], exit_["signal"]


def test_an_exit_code_is_reported_and_the_output_is_in_the_log(tree: Tree) -> None:
    tree.run("echo hello; echo problem >&2; sleep 0.3; exit 7")
    assert exit_of(tree) == (7, None)
    assert tree.log.read_text() == "hello\nproblem\n"


def test_stop_is_sigterm_to_the_engines_own_process_only(tree: Tree) -> None:
    child = "bash -c 'trap \"echo child got it\" TERM; echo up; while :; do sleep 0.1; done'"
    tree.run(f"trap 'echo parent got it; exit 0' TERM; echo up; {child} & while :; do sleep 0.1; done", 2)
    assert tree.process.stop(5)
    assert exit_of(tree) == (0, None)
    assert tree.log.read_text() == "up\nup\nparent got it\n"
    assert all_gone(tree.name)


def test_the_grace_counts_from_the_order_however_long_the_engine_has_run(tree: Tree) -> None:
    tree.run("trap 'sleep 0.3; echo finished; exit 0' TERM; echo up; while :; do sleep 0.05; done")
    time.sleep(4.5)
    assert tree.process.stop(4)
    assert exit_of(tree) == (0, None)
    assert tree.log.read_text() == "up\nfinished\n"


def test_what_ignores_sigterm_is_killed_after_the_grace(tree: Tree) -> None:
    tree.run("trap '' TERM; echo up; while :; do sleep 0.1; done")
    assert tree.process.stop(0.5)
    assert exit_of(tree) == (None, "SIGKILL")
    assert all_gone(tree.name)


def test_a_repeated_stop_sends_no_second_sigterm_and_can_only_shorten_the_grace(tree: Tree) -> None:
    # vLLM drains on the first SIGTERM and aborts its requests on the second.
    tree.run("trap 'echo told' TERM; echo up; while :; do sleep 0.1; done")
    first = threading.Thread(target=tree.process.stop, args=[300])
    first.start()
    assert within(5, lambda: "told" in tree.log.read_text())
    assert tree.process.stop(1)
    first.join(5)
    assert not first.is_alive()
    assert exit_of(tree) == (None, "SIGKILL")
    assert tree.log.read_text() == "up\ntold\n"


def test_nothing_of_the_tree_outlives_a_killed_engine(tree: Tree) -> None:
    tree.run(TREE, 4)
    os.kill(tree.pid, signal.SIGKILL)
    assert exit_of(tree) == (None, "SIGKILL")
    assert all_gone(tree.name)


def test_nothing_of_the_tree_outlives_a_killed_guard(tree: Tree) -> None:
    tree.run(TREE, 4)
    os.kill(parent_of(tree.pid), signal.SIGKILL)
    assert exit_of(tree) == (None, "SIGKILL")
    assert all_gone(tree.name)


def test_nothing_of_the_tree_outlives_a_killed_keeper(tree: Tree) -> None:
    tree.run(TREE, 4)
    os.kill(parent_of(parent_of(tree.pid)), signal.SIGKILL)
    assert all_gone(tree.name)
    assert exit_of(tree) == (None, "SIGTERM")


def test_nothing_of_the_tree_outlives_guard_and_keeper_killed_together(tree: Tree) -> None:
    tree.run(TREE, 4)
    guard = parent_of(tree.pid)
    kill_at_once([parent_of(guard), guard])
    assert exit_of(tree) == (None, "SIGKILL")
    assert all_gone(tree.name)


def test_another_tree_of_the_same_name_is_left_alone(tree: Tree, tmp_path: Path) -> None:
    other = Tree(tree.name, tmp_path / "other")
    (tmp_path / "other").mkdir()
    other.run("sleep 300")
    tree.run(TREE, 5)
    guard = parent_of(tree.pid)
    kill_at_once([parent_of(guard), guard])
    assert within(GONE_S, lambda: marked(tree.name) == [other.pid])
    assert other.process.exit is None
    assert other.process.stop(1)


def test_nothing_of_the_tree_outlives_a_killed_owner(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    name = f"t-{os.getpid()}-{request.node.name}"
    program = (
        "import sys, time\nfrom pathlib import Path\nfrom tests.trees import Tree, TREE\n"
        f"Tree({name!r}, Path({str(tmp_path)!r})).run(TREE, 4)\nprint('up', flush=True)\ntime.sleep(300)\n"
    )
    owner = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, cwd=AGENT)
    assert owner.stdout is not None and owner.stdout.readline() == b"up\n"
    owner.kill()
    owner.wait()
    assert all_gone(name)


def test_a_command_that_does_not_exist_is_an_error_and_no_process(tree: Tree) -> None:
    tree.process.start(["no-such-program"], {"PATH": "/bin"}, "/", "/dev/null", on_exit=lambda: None)
    assert tree.process.error == "No such file or directory"
    assert marked(tree.name) == []


def test_a_folder_that_does_not_exist_is_named(tree: Tree) -> None:
    tree.process.start(["true"], {"PATH": "/bin"}, "/no/such/folder", "/dev/null", on_exit=lambda: None)
    assert tree.process.error == "/no/such/folder: No such file or directory"


def test_a_guard_that_is_killed_before_it_starts_anything_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dead(*args: Any, **kwargs: Any) -> subprocess.Popen[Any]:
        guard = subprocess.Popen(*args, **kwargs)
        guard.wait()
        return guard

    fake = SimpleNamespace(Popen=dead, PIPE=subprocess.PIPE, DEVNULL=subprocess.DEVNULL)
    monkeypatch.setattr("pdjob_agent.node.guarded.subprocess", fake)
    process = GuardedProcess("t-dead-guard", "import os; os.kill(os.getpid(), 9)")
    process.start(["true"], {}, str(tmp_path), str(tmp_path / "log"), on_exit=lambda: None)
    assert process.error == "its guard was killed"
