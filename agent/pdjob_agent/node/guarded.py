"""The owner's side of a guard: starts one, hears what became of the process, and cleans up should the guard die."""

import contextlib
import json
import os
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

# For people and tests who look at /proc.
MARKER = "PDJOB_INCARNATION"
# Differs for each run, so that what is left of a tree is found when all its guards are gone, and no other tree is:
# another cluster on the same machine may use the same names.
TREE_MARKER = "PDJOB_TREE"
START_WAIT_S = 10.0
# A hung kernel call can keep a SIGKILLed process; past this we report the exit anyway.
SWEEP_WAIT_S = 5.0
SWEEP_POLL_S = 0.05


class GuardedProcess:
    """One run of one command under a guard. Thread-safe."""

    def __init__(self, name: str, guard_source: str, inherited: int | None = None) -> None:
        """`inherited`: a file descriptor that the command gets under the same number."""
        self.name = name
        self._inherited = inherited
        self.pid: int | None = None
        self.error: str | None = None
        self.exit: dict[str, Any] | None = None
        self._guard_source = guard_source
        self._tree = secrets.token_hex(16)
        self._answered = threading.Event()
        self._ended = threading.Event()
        self._control: Any = None

    def start(self, argv: list[str], env: dict[str, str], cwd: str, log: str, on_exit: Callable[[], None]) -> None:
        """Returns once the command runs or could not be executed (then `error` says why)."""
        guard = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", self._guard_source],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            env={"PATH": os.environ.get("PATH", "")},
            pass_fds=() if self._inherited is None else (self._inherited,),
        )
        # Without SPT_NOENV, a Python process that sets its title (as vLLM's do) overwrites the environment in /proc.
        marks = {MARKER: self.name, TREE_MARKER: self._tree, "SPT_NOENV": "1"}
        config = {"argv": argv, "env": {**env, **marks}, "cwd": cwd, "log": log, "inherited": self._inherited}
        assert guard.stdin is not None and guard.stdout is not None
        self._control = guard.stdin
        self._send(config)
        threading.Thread(target=self._listen, args=(guard.stdout, on_exit), daemon=True).start()
        if not self._answered.wait(START_WAIT_S):
            self.error = f"its guard did not start within {START_WAIT_S:.0f} s"
        if self.error is not None:
            self._hang_up()  # Should it start after all, it ends at once.
        threading.Thread(target=guard.wait, daemon=True).start()  # Only its first part: the guard itself forked away.

    def stop(self, grace_s: float) -> bool:
        """SIGTERM, then SIGKILL of the whole tree after `grace_s`. False when it is still not gone."""
        if self.exit is None and self.pid is not None:
            self._send({"stop": grace_s})
            self._ended.wait(grace_s + SWEEP_WAIT_S)
        if self.exit is None and self.pid is not None:
            self._sweep()
            self._hang_up()
        return self.exit is not None or self.pid is None

    def _hang_up(self) -> None:
        # What a dead guard never read is flushed once more, in vain; closed it is.
        with contextlib.suppress(OSError):
            self._control.close()

    def _send(self, message: dict[str, Any]) -> None:
        # A dead guard is noticed by the end of its output.
        with contextlib.suppress(OSError):
            self._control.write(json.dumps(message).encode() + b"\n")
            self._control.flush()

    def _listen(self, output: Any, on_exit: Callable[[], None]) -> None:
        for line in output:
            message = json.loads(line)
            self.pid = message.get("pid", self.pid)
            self.error = message.get("error", self.error)
            if "exit" in message and self.pid is not None:
                self._finish(message["exit"])
            self._answered.set()
        if self.pid is not None and self.exit is None:
            self._sweep()  # All of the guard was killed: nobody else knows the tree any more.
        if self.pid is None and self.error is None:
            self.error = "its guard was killed"
        self._answered.set()
        on_exit()

    def _sweep(self) -> None:
        kill_marked(self._tree)
        self._finish({"code": None, "signal": "SIGKILL"})

    def _finish(self, how: dict[str, Any]) -> None:
        self.exit = {**how, "atMs": int(time.time() * 1000)}
        self._ended.set()


def exit_in_words(what: str, how: dict[str, Any], last_lines: str | None) -> str:
    """The same words as the planner's, which may see an exit first."""
    text = f"was ended by {how['signal']}" if how["signal"] else f"exited with code {how['code']}"
    return f"{what} {text}." + (f" Its last lines:\n{last_lines}" if last_lines else "")


def kill_marked(tree: str) -> None:
    """SIGKILL to every process of this node whose environment carries the mark of that tree."""
    wanted = f"{TREE_MARKER}={tree}".encode()
    until = time.monotonic() + SWEEP_WAIT_S
    while time.monotonic() < until:
        found = [int(pid) for pid in os.listdir("/proc") if pid.isdigit() and _is_marked(pid, wanted)]
        for pid in found:
            try:
                os.kill(pid, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                continue
        if not found:
            return
        time.sleep(SWEEP_POLL_S)


def _is_marked(pid: str, wanted: bytes) -> bool:
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            return wanted in file.read().split(b"\0")
    except OSError:
        return False
