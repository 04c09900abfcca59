"""Looking at process trees from outside."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

from pdjob_agent.node.guarded import MARKER

GONE_S = 5.0


def marked(name: str) -> list[int]:
    """Every process of this machine that belongs to the tree `name`."""
    wanted = f"{MARKER}={name}".encode()
    found: list[int] = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                environ = Path(f"/proc/{entry}/environ").read_bytes()
            except OSError:
                continue
            if wanted in environ.split(b"\0"):
                found.append(int(entry))
    return found


def parent_of(pid: int) -> int:
    stat = Path(f"/proc/{pid}/stat").read_bytes()
    return int(stat.rsplit(b")", 1)[1].split()[1])


# Tests may run beside others that keep the processors busy.
PATIENCE = 6


def kill_at_once(pids: list[int]) -> None:
    """SIGKILL for all, before any of them sees what became of another."""
    for number in (signal.SIGSTOP, signal.SIGKILL):
        for pid in pids:
            os.kill(pid, number)


def within(seconds: float, look: Callable[[], bool]) -> bool:
    """True as soon as `look` is. `seconds` are those of an idle machine; a busy one gets `PATIENCE` times as long."""
    until = time.monotonic() + seconds * PATIENCE
    while time.monotonic() < until:
        if look():
            return True
        time.sleep(0.05)
    return look()


def all_gone(name: str) -> bool:
    return within(GONE_S, lambda: marked(name) == [])
