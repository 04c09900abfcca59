"""Guarded shell commands, and everything that they start."""

import os
from importlib.resources import files
from pathlib import Path

from pdjob_agent import node
from pdjob_agent.node.guarded import GuardedProcess

from .processes import marked, within

SOURCE = files(node).joinpath("guard.py").read_text()
AGENT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
# Like vLLM: a server, a child of its own session, and a grandchild.
TREE = "setsid sleep 300 & (sleep 300 & sleep 300) & exec sleep 300"


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
