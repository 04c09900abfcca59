"""The actor that owns the proxy, on the head node."""

import contextlib
import os
import threading
import time
from typing import Any

import ray

from .admin import Admin
from .environment import engine_env
from .failure import failure
from .files import unusable, write_below
from .guarded import GuardedProcess, exit_in_words
from .health import Prober, accepts_tcp
from .lease import LAPSE_GRACE_S, Lease
from .listener import Listener, obtain
from .logs import Log, read_log
from .membership import Stale, Told
from .nodejs import node_problem
from .orphans import job_of, remove_unused_groups
from .ports import port_problem
from .uploaded import NotUnpacked, Unpacked

PROBE_INTERVAL_S = 0.25
CONNECT_TIMEOUT_S = 2.0
# Where external proxies listen unless told otherwise; our own node address then refuses.
LOOPBACK = "127.0.0.1"
# For an answer that is on its way.
LAST_ANSWER_S = 0.5
# From its start it answers within this: a probe costs little, and clients wait for it.
BOOT_INTERVAL_S = 0.03


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
        # Processes that were started here, one after the other: which of them runs, or ran last.
        self._run = 0
        self._listener: Listener | None = None
        self._admin: Admin | None = None
        self._told: Told | None = None
        self._lock = threading.Lock()
        self._lease = Lease(lease_s, self._lapse)

    def start(self, spec: dict[str, Any]) -> dict[str, Any]:
        with self._lock:
            running = self._spec.get("specHash")
            if running is not None and running != spec["specHash"]:
                text = f"{self._name} already runs another command (spec {running}, asked for {spec['specHash']})."
                return failure("StaleGeneration", text)
            if self._process is None or (self._process.exit is not None and spec.get("run", 1) > self._run):
                error = self._launch(spec)
                if error:
                    return failure("ProxyNotStarted", error)
        return self.status()

    def status(self, lease_s: float | None = None) -> dict[str, Any]:
        if lease_s is not None:
            self._lease.renew(lease_s)
        state = self._state()
        answer = self._admin.last if self._admin else None
        told = self._told.acknowledged() if self._told else answer
        facts: dict[str, Any] = {
            "name": self._name,
            "generation": self._generation,
            "state": state,
            "host": self._reached,
            "port": self._spec.get("port"),
            "pid": self._process.pid if self._process else None,
            "run": self._run if self._run > 1 else None,
            "specHash": self._spec.get("specHash"),
            "membership": None if told is None else {key: told[key] for key in ("generation", "members")},
            "inFlight": None if answer is None else answer["inFlight"],
            "leaving": None if answer is None else answer.get("leaving"),
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
        answer = self._admin.put("/membership", membership)
        if answer is None:
            return failure("RayUnreachable", f"{self._name} does not answer on its admin socket.")
        status, body = answer
        if status != 200:
            return failure("StaleGeneration", f"{self._name} refused the membership ({status}): {body}")
        return {"acknowledged": body["generation"]}

    def hand_on(self) -> dict[str, Any]:
        """Where the next generation's actor gets the listening socket; nothing when there is none."""
        with self._lock:
            return {"socket": self._listener.hand_on()} if self._listener else {}

    def retire(self) -> dict[str, Any]:
        """The built-in proxy takes no more connections, and serves those that it has."""
        problem = self._not_running()
        if problem:
            return problem
        if self._admin is None:
            return failure("BadRequest", f"{self._name} is an external proxy: it stops by a signal alone.")
        answer = self._admin.put("/retired")
        if answer is None or answer[0] != 200:
            return failure("RayUnreachable", f"{self._name} does not answer on its admin socket.")
        return {"retired": True}

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
        # First, so that clients are refused at once where nobody else listens: nobody here will accept them any more.
        with self._lock:
            if self._listener:
                self._listener.close()
                self._listener = None
        stopped = self._process.stop(grace_s) if self._process else True
        if self._prober:
            self._prober.stop()
        if self._admin:
            self._admin.remove()
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
        run = spec.get("run", 1)
        env = {**self._unpacked.environment(env), **self._channels(cwd, run)}
        self._log = self._log or Log(cwd, self._name)
        inherited = self._listener.fileno() if self._listener else None
        process = GuardedProcess(self._name, self._guard_source, inherited)
        admin = self._admin
        folder = self._unpacked.folder or cwd
        process.start(spec["argv"], env, folder, self._log.path, lambda: admin.remove() if admin else None)
        if process.error:
            return (
                f"The proxy cannot be started on the head node {self._host}: {spec['argv'][0]}: {process.error}. "
                "Check `scheduler.command`, and that it is installed and on the PATH of the head node."
            )
        if self._prober:
            self._prober.stop()
        self._process, self._spec, self._run = process, spec, run
        if admin:
            first = spec.get("membership")
            self._prober = Prober(lambda: admin.is_up(first), PROBE_INTERVAL_S, boot_interval_s=BOOT_INTERVAL_S)
        else:
            self._prober = Prober(self._accepts, PROBE_INTERVAL_S)
        return None

    def _channels(self, cwd: str, run: int) -> dict[str, str]:
        """What the built-in proxy's process shares with us, as its environment says."""
        if self._listener is None:
            return {}
        self._admin = Admin(cwd, self._name, os.getpid(), run)
        return {"PDJOB_ADMIN_SOCKET": self._admin.path, "PDJOB_LISTEN_FD": str(self._listener.fileno())}

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
            return unusable(str(spec["cwd"]), error)
        # What ran here before found its Node.js, and holds its port.
        if self._run > 0:
            return None
        problem = node_problem(path) if spec["builtin"] else None
        taken = None if problem else self._listen(spec) if spec["builtin"] else port_problem(spec["host"], spec["port"])
        if taken:
            problem = f"port {spec['port']} cannot be taken ({taken}). Free it, or choose another `scheduler.port`."
        return problem

    def _listen(self, spec: dict[str, Any]) -> str | None:
        try:
            self._listener = self._listener or obtain(spec.get("sockets", []), spec["host"], spec["port"])
        except OSError as error:
            return error.strerror or str(error)
        return None

    def _accepts(self) -> bool:
        for host in (self._host, LOOPBACK):
            if accepts_tcp(host, self._spec["port"], CONNECT_TIMEOUT_S):
                self._reached = host
                return True
        return False

    def _state(self) -> str:
        if self._process is None:
            return "idle"
        if self._process.exit is not None:
            if self._prober:
                self._prober.stop()
            return "exited"
        return self._prober.state if self._prober else "starting"

    def _lapse(self) -> None:
        self.stop(LAPSE_GRACE_S)
        with contextlib.suppress(Exception):  # Whatever is wrong with Ray, this actor must go.
            remove_unused_groups(job_of(self._name))
        time.sleep(LAST_ANSWER_S)
        os._exit(0)
