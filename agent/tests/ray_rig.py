"""A real Ray cluster on loopback for tests: own addresses, ports and folder; ended by the pids that were started."""

import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile

from .processes import within

START_S = 60


class LocalRay:
    """A head without resources and nodes with declared GPUs, started one by one."""

    def __init__(self, extra_env: dict[str, str] | None = None) -> None:
        self._subnet = f"127.{random.randint(100, 250)}.{random.randint(1, 250)}"
        # Ray's Unix sockets allow short paths only.
        self.dir = tempfile.mkdtemp(prefix="pdr-")
        self._env = {name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "PYTHONPATH"))}
        # Ray asks for the token that it finds in the home folder, unless it is told not to.
        self._env.update({"RAY_AUTH_MODE": "disabled", **(extra_env or {})})
        self._nodes: list[subprocess.Popen[bytes]] = []
        port = free_port()
        self.address = f"{self._subnet}.254:{port}"
        self._start(
            "254",
            [
                "--head",
                f"--port={port}",
                "--num-gpus=0",
                "--num-cpus=0",
                f"--temp-dir={self.dir}",
                "--include-dashboard=false",
                "--disable-usage-stats",
            ],
        )
        assert within(START_S, lambda: accepts(f"{self._subnet}.254", port))

    def add_node(self, gpus: int) -> subprocess.Popen[bytes]:
        index = len(self._nodes)
        return self._start(str(index), [f"--address={self.address}", f"--num-gpus={gpus}", "--num-cpus=4"])

    def raylet(self) -> int:
        """Pid of the head's."""
        return next(pid for pid in session_of(self._nodes[0].pid) if command_of(pid).endswith("/raylet"))

    def _start(self, host: str, args: list[str]) -> subprocess.Popen[bytes]:
        first = 10_000 + len(self._nodes) * 150 + random.randint(0, 40) * 100
        common = [f"--node-ip-address={self._subnet}.{host}", "--object-store-memory=80000000"]
        ports = [f"--min-worker-port={first}", f"--max-worker-port={first + 99}"]
        command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block", *common, *ports, *args]
        log = open(os.path.join(self.dir, f"{host}.log"), "wb")  # noqa: SIM115
        node = subprocess.Popen(command, env=self._env, cwd="/", stdout=log, stderr=log, start_new_session=True)
        self._nodes.append(node)
        return node

    def stop(self) -> None:
        for node in reversed(self._nodes):
            kill_node(node)
        shutil.rmtree(self.dir, ignore_errors=True)


def kill_node(node: subprocess.Popen[bytes]) -> None:
    """SIGKILL to a raylet and all that shares its session: a machine that loses power."""
    for pid in session_of(node.pid):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    node.wait()


def session_of(leader: int) -> list[int]:
    found: list[int] = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                if os.getsid(int(entry)) == leader:
                    found.append(int(entry))
            except ProcessLookupError:
                continue
    return found


def command_of(pid: int) -> str:
    with open(f"/proc/{pid}/cmdline") as file:
        return file.read().split("\0", 1)[0]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def accepts(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=1).close()
    except OSError:
        return False
    return True
