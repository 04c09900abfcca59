"""The guard: owns one process tree and lets none of it outlive its owner.

Shipped to the nodes as text and run with ``python -I -S -c``: standard library only, nothing imported from us.

It is two processes. The guard proper is the parent of the command and adopts every orphan of its tree. Its keeper
is the guard's parent and adopts the tree should the guard be killed. Each ends everything when the other is gone.

Protocol. Standard input: one JSON line ``{argv, env, cwd, log, detach?, inherited?}``, then ``{"stop": seconds}`` at
any time; its end means that the owner died. Standard output: ``{"pid": n}`` or ``{"error": text}``, later
``{"exit": {code, signal}}`` once the whole tree is gone. ``inherited`` is a file descriptor that came with us and that
the command keeps: whoever holds a listening socket keeps clients waiting, so neither of us two does.
"""

import contextlib
import ctypes
import json
import os
import select
import signal
import sys
import time

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
# How long the tree may end by itself when its owner died: short, since nobody is left to ask for more.
ORPHAN_GRACE_S = 2.0
# A process that SIGKILL does not end within this time hangs in the kernel: we report and leave.
KILL_WAIT_S = 10.0
KILL_POLL_S = 0.02


def prctl(option: int, value: int) -> None:
    ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


def main() -> None:
    config = json.loads(read_line(0))
    if config.get("detach", True):
        # A second fork takes us out of Ray's sight: it kills the children and the process group of a dead worker.
        if os.fork() > 0:
            os._exit(0)
        os.setsid()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    undo_ray_priorities()
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    keeper_is_here, held_by_keeper = os.pipe()
    guard = os.fork()
    if guard > 0:
        os.close(keeper_is_here)
        let_go(config)
        keep(guard)
    else:
        os.close(held_by_keeper)
        prctl(PR_SET_CHILD_SUBREAPER, 1)
        run(config, keeper_is_here)


def keep(guard: int) -> None:
    """Waits for the guard. Should it be killed, its tree is now ours, and ends."""
    # The end of standard input is for the guard to see, and for nobody else to delay.
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    _, status = os.waitpid(guard, 0)
    if status != 0:
        kill_descendants()
        say({"exit": {"code": None, "signal": "SIGKILL"}})


def run(config: "dict[str, object]", keeper_is_here: int) -> None:
    # A byte arrives here when a child ended, so that nothing has to be polled.
    child_ended, told_by_signal = os.pipe()
    os.set_blocking(told_by_signal, False)
    os.set_blocking(child_ended, False)
    signal.set_wakeup_fd(told_by_signal, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
    pid, error = spawn(config)
    let_go(config)
    if error:
        say({"error": error})
        return
    say({"pid": pid})
    say({"exit": watch(pid, keeper_is_here, child_ended)})


def let_go(config: "dict[str, object]") -> None:
    if config.get("inherited") is not None:
        os.close(int(str(config["inherited"])))


def read_line(fd: int) -> bytes:
    line = b""
    while not line.endswith(b"\n"):
        chunk = os.read(fd, 1)
        if not chunk:
            sys.exit(1)
        line += chunk
    return line


def say(message: "dict[str, object]") -> None:
    # The owner may be gone; the tree is what matters then.
    with contextlib.suppress(OSError):
        os.write(1, json.dumps(message).encode() + b"\n")


def spawn(config: "dict[str, object]") -> "tuple[int, str]":
    """Starts the command; the second value says why it could not be executed."""
    read_end, write_end = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            execute(config)
        except BaseException as error:
            os.write(write_end, (getattr(error, "strerror", None) or str(error)).encode())
        os._exit(127)
    os.close(write_end)
    error = b""
    while chunk := os.read(read_end, 4096):
        error += chunk
    os.close(read_end)
    if error:
        os.waitpid(pid, 0)
    return pid, error.decode(errors="replace")


def execute(config: "dict[str, object]") -> None:
    os.setsid()
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    # What is ignored or blocked stays so across exec: by us, by Python, by `nohup`, by a shell for its background.
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    try:
        os.chdir(str(config["cwd"]))
        log = os.open(str(config["log"]), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    except OSError as error:
        raise RuntimeError(f"{error.filename}: {error.strerror}") from None
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.dup2(log, 1)
    os.dup2(log, 2)
    argv = [str(word) for word in config["argv"]]  # type: ignore[attr-defined]
    env = {str(k): str(v) for k, v in config["env"].items()}  # type: ignore[attr-defined]
    os.execvpe(argv[0], argv, env)


def undo_ray_priorities() -> None:
    """Ray runs workers at nice 15 and as the kernel's first choice to kill; guards and engines are neither."""
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, 0)
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
        file.write("0")


def watch(pid: int, keeper_is_here: int, child_ended: int) -> "dict[str, object]":
    """Until the engine ended, was told to stop, or lost its owner. Then nothing of its tree is left."""
    deadline = None
    pending: bytes = b""
    sources = [0, keeper_is_here, child_ended]
    while True:
        ended = reap(pid)
        if ended is not None:
            kill_descendants()
            return ended
        now = time.monotonic()
        if deadline is not None and now >= deadline:
            return kill_descendants(pid) or {"code": None, "signal": "SIGKILL"}
        wait = None if deadline is None else deadline - now
        ready = select.select(sources, [], [], wait)[0]
        # The grace counts from the order, which may have come hours after the wait for it began.
        now = time.monotonic()
        grace = None
        for source in ready:
            chunk = bytes(os.read(int(source), 4096))
            if source == 0:
                pending += chunk
            if not chunk:
                # The owner or the keeper is gone.
                sources.remove(source)
                grace = ORPHAN_GRACE_S
        *orders, pending = pending.split(b"\n")
        for order in orders:
            grace = float(json.loads(order)["stop"])
        if grace is None:
            continue
        if deadline is None:
            # Once: on the first one vLLM drains, on a second it aborts what it still serves.
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
        deadline = min(deadline or now + grace, now + grace)


def reap(engine: int) -> "dict[str, object] | None":
    """Reaps whatever ended; the engine's own end is returned."""
    ended = None
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return ended
        if pid == 0:
            return ended
        if pid == engine:
            ended = describe(status)


def describe(status: int) -> "dict[str, object]":
    if os.WIFSIGNALED(status):
        return {"code": None, "signal": signal.Signals(os.WTERMSIG(status)).name}
    return {"code": os.WEXITSTATUS(status), "signal": None}


def kill_descendants(engine: int = -1) -> "dict[str, object] | None":
    """SIGKILL, again and again: a tree that forks while it dies must not escape. We inherit all orphans."""
    ended = None
    until = time.monotonic() + KILL_WAIT_S
    while time.monotonic() < until:
        for pid in descendants(os.getpid()):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        ended = reap(engine) or ended
        if not descendants(os.getpid()):
            break
        time.sleep(KILL_POLL_S)
    return ended


def descendants(root: int) -> "list[int]":
    children: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/stat", "rb") as file:
                    # The command may hold spaces and brackets; the parent is the second field after its end.
                    parent = int(file.read().rsplit(b")", 1)[1].split()[1])
            except (OSError, IndexError):
                continue
            children.setdefault(parent, []).append(int(entry))
    found: list[int] = []
    queue = [root]
    while queue:
        for child in children.get(queue.pop(), []):
            found.append(child)
            queue.append(child)
    return found


if __name__ == "__main__":
    main()
