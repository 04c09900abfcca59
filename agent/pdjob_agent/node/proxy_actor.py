"""The actor that owns the proxy, on the head node."""

import contextlib
import hashlib
import os
import shutil
import subprocess
import threading
import time
from typing import Any

import ray

from .admin import ask
from .environment import engine_env
from .files import write_below
from .guarded import GuardedProcess, exit_in_words
from .health import Prober, accepts_tcp
from .lease import LAPSE_GRACE_S, Lease
from .logs import Log, read_log
from .membership import Stale, Told
from .orphans import job_of, remove_unused_groups
from .ports import port_problem
from .uploaded import NotUnpacked, Unpacked

PROBE_INTERVAL_S = 0.25
CONNECT_TIMEOUT_S = 2.0
# Where external proxies listen unless told otherwise; our own node address then refuses.
LOOPBACK = "127.0.0.1"
# For an answer that is on its way.
LAST_ANSWER_S = 0.5
NODE_MIN = (20, 19)
NODE_ANSWER_S = 10.0


class ProxyActor:
    """One generation of the proxy. Every method may be called again; errors are answers, not exceptions."""

    def __init__(self, name: str, generation: int, lease_s: float, guard_source: str) -> None:
        self._name = name
        self._generation = generation
        self._guard_source = guard_source
        self._host = str(ray.util.get_node_ip_address())  # pyright: ignore
        self._reached = self._host
        self._process: GuardedProcess | None = None
        self._prober: Prober | None = None
        self._spec: dict[str, Any] = {}
        self._log: Log | None = None
        self._unpacked = Unpacked()
        self._admin: str | None = None
        self._answer: dict[str, Any] | None = None
        self._told: Told | None = None
        self._lock = threading.Lock()
        self._hearing = threading.Lock()
        self._lease = Lease(lease_s, self._lapse)

    def start(self, spec: dict[str, Any]) -> dict[str, Any]:
        with self._lock:
            running = self._spec.get("specHash")
            if running is not None and running != spec["specHash"]:
                text = f"{self._name} already runs another command (spec {running}, asked for {spec['specHash']})."
                return failure("StaleGeneration", text)
            if self._process is None:
                error = self._launch(spec)
                if error:
                    return failure("ProxyNotStarted", error)
        return self.status()

    def status(self, lease_s: float | None = None) -> dict[str, Any]:
        if lease_s is not None:
            self._lease.renew(lease_s)
        state = self._state()
        answer = self._answer
        told = self._told.acknowledged() if self._told else answer
        facts: dict[str, Any] = {
            "name": self._name,
            "generation": self._generation,
            "state": state,
            "host": self._reached,
            "port": self._spec.get("port"),
            "pid": self._process.pid if self._process else None,
            "specHash": self._spec.get("specHash"),
            "membership": None if told is None else {key: told[key] for key in ("generation", "members")},
            "inFlight": None if answer is None else answer["inFlight"],
            "exit": self._process.exit if self._process else None,
            "logTail": self._log.tail() if self._log and state in ("exited", "unhealthy") else None,
        }
        return {key: value for key, value in facts.items() if value is not None}

    def set_membership(self, membership: dict[str, Any], telling: dict[str, Any] | None = None) -> dict[str, Any]:
        problem = self._not_running()
        if problem:
            return problem
        if self._told is not None and telling is not None:
            return self._tell(self._told, membership, telling)
        if self._admin is None:
            return failure("BadRequest", f"{self._name} is an external proxy: it has no membership to set.")
        answer = ask(self._admin, "PUT", "/membership", membership)
        if answer is None:
            return failure("RayUnreachable", f"{self._name} does not answer on its admin socket.")
        status, body = answer
        if status != 200:
            return failure("StaleGeneration", f"{self._name} refused the membership ({status}): {body}")
        self._hear(body)
        return {"acknowledged": body["generation"]}

    def _not_running(self) -> dict[str, Any] | None:
        if self._process is None:
            return failure("ProxyNotStarted", f"{self._name} was not started, so it cannot be given members.")
        if self._process.exit is not None:
            last_lines = self._log.tail() if self._log else None
            return failure("ProxyExited", exit_in_words("The proxy", self._process.exit, last_lines))
        return None

    def _tell(self, told: Told, membership: dict[str, Any], telling: dict[str, Any]) -> dict[str, Any]:
        try:
            problems = told.tell(membership, telling)
        except Stale as stale:
            return failure("StaleGeneration", f"{self._name} was given an old membership: {stale}.")
        if problems:
            return failure("MembershipRefused", f"{self._name} was not told of all its members: {'; '.join(problems)}.")
        return {"acknowledged": membership["generation"]}

    def stop(self, grace_s: float) -> bool:
        if self._prober:
            self._prober.stop()
        stopped = self._process.stop(grace_s) if self._process else True
        self._clear_socket()
        if stopped:
            self._unpacked.remove()
        return stopped

    def read_log(self, offset: int | None, max_bytes: int) -> dict[str, Any]:
        if self._log is None:
            return {**read_log(None, offset, max_bytes), "host": self._host}
        return {**self._log.read(offset, max_bytes), "host": self._host, "path": self._log.path}

    def _launch(self, spec: dict[str, Any]) -> str | None:
        cwd = spec["cwd"]
        env = engine_env(spec["env"])
        error = self._prepare(spec, env["PATH"])
        if error:
            return f"The proxy cannot be started on the head node {self._host}: {error}"
        env = self._unpacked.environment(env)
        if spec["builtin"]:
            # The pid, so that a proxy that ends late cannot remove the socket of one that came after it.
            digest = hashlib.sha256(f"{cwd}\0{self._name}\0{os.getpid()}".encode()).hexdigest()[:12]
            self._admin = f"/tmp/pdjob-{digest}.sock"
            env["PDJOB_ADMIN_SOCKET"] = self._admin
        self._log = Log(cwd, self._name)
        process = GuardedProcess(self._name, self._guard_source)
        process.start(spec["argv"], env, self._unpacked.folder or cwd, self._log.path, on_exit=self._clear_socket)
        if process.error:
            return (
                f"The proxy cannot be started on the head node {self._host}: {spec['argv'][0]}: {process.error}. "
                "Check `scheduler.command`, and that it is installed and on the PATH of the head node."
            )
        self._process = process
        self._spec = spec
        self._prober = Prober(self._ask_status if self._admin else self._accepts, PROBE_INTERVAL_S)
        return None

    def _prepare(self, spec: dict[str, Any], path: str) -> str | None:
        try:
            os.makedirs(spec["cwd"], exist_ok=True)
            self._unpacked.unpack(str(spec["cwd"]), self._name)
            # Before the process starts, so that it finds its file, and where it runs.
            if spec.get("telling"):
                self._told = Told(
                    lambda: f"http://{self._reached}:{spec['port']}", self._unpacked.folder or spec["cwd"]
                )
                self._told.start(spec["membership"], spec["telling"])
            for file in spec["files"]:
                write_below(str(spec["cwd"]), str(file["path"]), str(file["text"]))
        except (OSError, ValueError, NotUnpacked) as error:
            return f"the working directory {spec['cwd']} cannot be used: {error}."
        problem = node_problem(path) if spec["builtin"] else None
        taken = port_problem(spec["host"], spec["port"])
        if taken and not problem:
            problem = f"port {spec['port']} cannot be taken ({taken}). Free it, or choose another `scheduler.port`."
        return problem

    def _accepts(self) -> bool:
        for host in (self._host, LOOPBACK):
            if accepts_tcp(host, self._spec["port"], CONNECT_TIMEOUT_S):
                self._reached = host
                return True
        return False

    def _ask_status(self) -> bool:
        answer = ask(self._admin or "", "GET", "/status")
        if answer is None or answer[0] != 200:
            return False
        self._hear(answer[1])
        return True

    def _hear(self, body: dict[str, Any]) -> None:
        """A status that was asked for before a newer membership arrived tells the past."""
        with self._hearing:
            if self._answer is None or body["generation"] >= self._answer["generation"]:
                self._answer = body

    def _state(self) -> str:
        if self._process is None:
            return "idle"
        if self._process.exit is not None:
            if self._prober:
                self._prober.stop()
            return "exited"
        return self._prober.state if self._prober else "starting"

    def _clear_socket(self) -> None:
        if self._admin and os.path.exists(self._admin):
            os.unlink(self._admin)

    def _lapse(self) -> None:
        self.stop(LAPSE_GRACE_S)
        with contextlib.suppress(Exception):  # Whatever is wrong with Ray, this actor must go.
            remove_unused_groups(job_of(self._name))
        time.sleep(LAST_ANSWER_S)
        os._exit(0)


def failure(code: str, message: str) -> dict[str, Any]:
    return {"error": {"code": code, "message": message}}


def node_problem(path: str) -> str | None:
    """The built-in proxy is a Node program; nothing else of ours needs Node on a Ray node."""
    wanted = ".".join(str(part) for part in NODE_MIN)
    advice = (
        f"Install Node.js {wanted} or newer there (nodejs.org, or your system's packages), or set `scheduler.command`."
    )
    program = shutil.which("node", path=path)
    if program is None:
        return f"Node.js is not on its PATH, and the built-in proxy needs it. {advice}"
    try:
        command = [program, "--version"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=NODE_ANSWER_S, check=False)
        text = done.stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        text = ""
    version = tuple(int(part) for part in text.lstrip("v").split(".")[:2] if part.isdigit())
    return None if version >= NODE_MIN else f"its Node.js ({program}) is {text or 'broken'}. {advice}"
