import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from .processes import GONE_S, all_gone, marked, parent_of, within
from .ray_rig import accepts, free_port
from .trees import AGENT, SOURCE, Tree

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
