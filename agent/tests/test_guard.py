import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pdjob_agent import node
from pdjob_agent.node.guarded import GuardedProcess

from .processes import GONE_S, all_gone, kill_at_once, marked, parent_of, within
from .ray_rig import accepts, free_port

SOURCE = files(node).joinpath("guard.py").read_text()
AGENT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
# Like vLLM: a server, a child of its own session, and a grandchild.
TREE = "setsid sleep 300 & (sleep 300 & sleep 300) & exec sleep 300"


# A guarded process that inherits a listening socket, and an owner that keeps its own copy.
OWNER = """
import sys, time
sys.path.insert(0, {agent!r})
from pdjob_agent.node.guarded import GuardedProcess
from pdjob_agent.node.listener import listen_on
listener = listen_on("127.0.0.1", {port})
process = GuardedProcess({name!r}, {source!r}, listener.fileno())
process.start(["sleep", "300"], {{"PATH": {path!r}}}, "/", "/dev/null", lambda: None)
time.sleep(300)
"""


class Tree:
    """One guarded shell command with a name of its own."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.log = folder / "log"
        self.process = GuardedProcess(name, SOURCE)
        self._folder = folder

    def run(self, script: str, processes: int = 1) -> "Tree":
        env = {"PATH": os.environ["PATH"], "TOKEN": "hf_secret"}
        self.process.start(["bash", "-c", script], env, str(self._folder), str(self.log), on_exit=lambda: None)
        assert within(5, lambda: len(marked(self.name)) >= processes)
        # A script that traps signals says when it does: a signal before that is no test of it.
        assert within(5, lambda: self.log.read_text().count("up\n") == script.count("echo up"))
        return self

    @property
    def pid(self) -> int:
        assert self.process.pid is not None
        return self.process.pid


@pytest.fixture
def tree(request: pytest.FixtureRequest, tmp_path: Path) -> Tree:
    return Tree(f"t-{os.getpid()}-{request.node.name}", tmp_path)


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
        "import sys, time\nfrom pathlib import Path\nfrom tests.test_guard import Tree, TREE\n"
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


@pytest.fixture
def inherited_signals() -> Iterator[None]:
    """Ignored as under `nohup` and in the background of a script, and some more; one blocked."""
    numbers = [signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGUSR1, signal.SIGRTMIN + 3]
    before = {number: signal.signal(number, signal.SIG_IGN) for number in numbers}
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR2})
    yield
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("inherited_signals")
def test_the_engine_has_default_signals_whatever_its_owner_ignores_or_blocks(tree: Tree) -> None:
    tree.run("sleep 300")
    status = Path(f"/proc/{tree.pid}/status").read_text()
    assert "SigIgn:\t0000000000000000\n" in status
    assert "SigBlk:\t0000000000000000\n" in status
    tree.process.stop(1)


def test_the_engine_has_ordinary_priority(tree: Tree) -> None:
    tree.run("sleep 300")
    assert os.getpriority(os.PRIO_PROCESS, tree.pid) == 0
    assert Path(f"/proc/{tree.pid}/oom_score_adj").read_text() == "0\n"
    assert os.getsid(tree.pid) == tree.pid
    tree.process.stop(1)


def test_secrets_are_in_no_command_line(tree: Tree) -> None:
    tree.run("sleep 300")
    for pid in (tree.pid, parent_of(tree.pid)):
        assert b"hf_secret" not in Path(f"/proc/{pid}/cmdline").read_bytes()
    tree.process.stop(1)


def test_an_inherited_socket_is_held_by_the_command_and_its_owner_alone() -> None:
    name, port = f"t{os.getpid()}-inherits", free_port()
    script = OWNER.format(agent=AGENT, port=port, name=name, source=SOURCE, path=os.environ["PATH"])
    owner = subprocess.Popen([sys.executable, "-c", script])
    try:
        assert within(15, lambda: len(marked(name)) == 1)
        (command,) = marked(name)
        # The guard and its keeper, from the command up.
        guard = parent_of(command)
        inode = {os.readlink(f"/proc/{command}/fd/{fd}") for fd in os.listdir(f"/proc/{command}/fd")}
        (held,) = [link for link in inode if link.startswith("socket:")]
        assert holders(held, [command, guard, parent_of(guard), owner.pid]) == [command, owner.pid]
    finally:
        owner.kill()
        owner.wait()
    assert within(GONE_S, lambda: not accepts("127.0.0.1", port))
    assert all_gone(name)


def holders(link: str, pids: list[int]) -> list[int]:
    return [pid for pid in pids if link in {os.readlink(one) for one in Path(f"/proc/{pid}/fd").iterdir()}]
