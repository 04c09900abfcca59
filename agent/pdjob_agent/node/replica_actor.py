"""The actor that holds the resources of a replica, or of one rank of a gang, and owns the engine's processes there."""

import contextlib
import os
import threading
import time
from typing import Any

import ray

from .canary import send_canary
from .environment import engine_env
from .failure import failure
from .files import empty_below, remove, unusable, write_below
from .guarded import GuardedProcess
from .health import FAILURES_MAX, Prober, answers_http
from .lease import LAPSE_GRACE_S, Lease
from .load import requests_in
from .logs import Log, read_log
from .orphans import job_of, remove_unused_groups
from .ports import HeldPorts
from .progress import Progress, watch_progress
from .uploaded import NotUnpacked, Unpacked

# Removing its group ends an actor within this time, or it ends itself.
REMOVAL_WAIT_S = 2.0


class ReplicaActor:
    """A generation of a replica, or a rank of one. Methods may be called again; errors are answers, not exceptions."""

    def __init__(
        self,
        name: str,
        identity: dict[str, Any],
        ports: list[dict[str, Any]],
        lease_s: float,
        guard_source: str,
    ) -> None:
        self._name = name
        self._identity = identity
        self._guard_source = guard_source
        self._host = str(ray.util.get_node_ip_address())  # pyright: ignore
        self._problem: str | None = None
        self._held: HeldPorts | None = None
        try:
            self._held = HeldPorts(ports)
        except OSError as error:
            # An exception here would only reach the caller as "the actor died".
            self._problem = f"{name} cannot start on {self._host}: {error}."
        self._node_id = ray.get_runtime_context().get_node_id()
        self._engine: GuardedProcess | None = None
        self._prober: Prober | None = None
        self._progress: Progress | None = None
        self._log: Log | None = None
        self._files: list[str] = []
        self._unpacked = Unpacked()
        # `specHash` names the command that runs; the others say what the job asked for when it was started.
        self._tags: dict[str, str] = {}
        self._started_at_ms: int | None = None
        self._lock = threading.Lock()
        self._canary = threading.Lock()
        self._lease = Lease(lease_s, self._lapse)

    def status(self, lease_s: float | None = None) -> dict[str, Any]:
        if lease_s is not None:
            self._lease.renew(lease_s)
        if self._held is None:
            return self._without_ports()
        state = self._state()
        engine = self._engine
        facts: dict[str, Any] = {
            "name": self._name,
            **self._identity,
            "state": state,
            "endpoint": {"host": self._host, "ports": self._held.ports},
            "nodeId": self._node_id,
            "pid": engine.pid if engine else None,
            "startedAtMs": self._started_at_ms,
            **self._tags,
            "exit": engine.exit if engine else None,
            "stalledS": self._progress.stalled_s if self._progress and state == "unhealthy" else None,
            "logTail": self._log.tail() if self._log and state in ("exited", "unhealthy") else None,
        }
        return {key: value for key, value in facts.items() if value is not None}

    def prepare(self, cwd: str, files: list[dict[str, str]], emptied: list[str]) -> dict[str, Any]:
        """What the engine is to find below `cwd`. Nothing happens once it runs: it may be reading there."""
        with self._lock:
            if self._engine is None:
                try:
                    for folder in emptied:
                        empty_below(cwd, folder)
                    self._files = [write_below(cwd, file["path"], file["text"]) for file in files]
                except (OSError, ValueError) as error:
                    return failure("EngineNotStarted", self._unusable(cwd, error))
        return self.status()

    def _without_ports(self) -> dict[str, Any]:
        """A replica like any other, so that one that cannot start does not spoil the list of all the others."""
        facts = {"state": "exited", "nodeId": self._node_id, "logTail": self._problem}
        return {"name": self._name, **self._identity, **facts}

    def start_engine(
        self, argv: list[str], env: dict[str, str], cwd: str, tags: dict[str, str], probe: dict[str, Any] | None
    ) -> dict[str, Any]:
        with self._lock:
            running, asked = self._tags.get("specHash"), tags["specHash"]
            if running is not None and running != asked:
                text = f"{self._name} already runs another command (spec {running}, asked for {asked})."
                return failure("StaleGeneration", text)
            if self._engine is None:
                error = self._launch(argv, env, cwd, probe)
                if error:
                    return failure("EngineNotStarted", error)
                self._tags = tags
        return self.status()

    def stop(self, grace_s: float) -> bool:
        self._stop_probing()
        stopped = self._engine.stop(grace_s) if self._engine else True
        for place in self._files:
            remove(place)
        if stopped:
            self._unpacked.remove()
        return stopped

    def load(self) -> dict[str, Any]:
        ports = self._held.ports if self._held else {}
        running = self._engine is not None and self._engine.exit is None and "http" in ports
        return {"name": self._name, "requests": requests_in(self._host, ports["http"]) if running else None}

    def canary(self, asked: dict[str, Any]) -> dict[str, Any]:
        """One at a time, however often somebody loses patience and asks again: each takes a thread of this actor's."""
        if not self._canary.acquire(blocking=False):
            text = "another canary of this engine is not over yet"
            return {"passed": False, "stage": "decode", "how": "late", "message": text}
        try:
            return send_canary(asked, self._host)
        finally:
            self._canary.release()

    def read_log(self, offset: int | None, max_bytes: int) -> dict[str, Any]:
        if self._log is None:
            return {**read_log(None, offset, max_bytes), "host": self._host}
        return {**self._log.read(offset, max_bytes), "host": self._host, "path": self._log.path}

    def _launch(self, argv: list[str], env: dict[str, str], cwd: str, probe: dict[str, Any] | None) -> str | None:
        try:
            os.makedirs(cwd, exist_ok=True)
            self._log = Log(cwd, self._name)
            self._unpacked.unpack(cwd, self._name)
        except (OSError, NotUnpacked) as error:
            return self._unusable(cwd, error)
        held = self._held
        if held is None:
            return self._problem
        held.release()
        engine = GuardedProcess(self._name, self._guard_source)
        whole_env = self._unpacked.environment(engine_env(env))
        engine.start(argv, whole_env, self._unpacked.folder or cwd, self._log.path, on_exit=lambda: None)
        if engine.error:
            return (
                f"The engine of {self._name} cannot be started on {self._host}: {argv[0]}: {engine.error}. "
                "Check `engine.command`, and that it is installed and on the PATH of that node."
            )
        self._engine = engine
        self._started_at_ms = int(time.time() * 1000)
        if probe:
            self._start_probing(held.ports["http"], probe)
        return None

    def _start_probing(self, port: int, probe: dict[str, Any]) -> None:
        host, path, timeout_s = self._host, probe["path"], probe["timeoutS"]
        stall = probe.get("stall")
        progress = watch_progress(str(self._identity["role"]), host, port, stall) if stall else None

        def serves() -> bool:
            return answers_http(host, port, path, timeout_s) and (progress is None or progress.stalled_s is None)

        self._progress = progress
        self._prober = Prober(serves, probe["intervalS"], probe.get("failures", FAILURES_MAX))

    def _stop_probing(self) -> None:
        if self._prober:
            self._prober.stop()
        if self._progress:
            self._progress.stop()

    def _unusable(self, cwd: str, error: Exception) -> str:
        return f"The engine of {self._name} cannot be started on {self._host}: {unusable(cwd, error)}"

    def _state(self) -> str:
        if self._engine is None:
            return "idle"
        if self._engine.exit is not None:
            self._stop_probing()
            return "exited"
        if self._identity.get("rank", 0) > 0:
            return "healthy"  # Nobody asks a follower over HTTP: its health is its process.
        return self._prober.state if self._prober else "starting"

    def _lapse(self) -> None:
        """Gives the GPUs back too: removing the placement group ends this actor."""
        self.stop(LAPSE_GRACE_S)
        with contextlib.suppress(Exception):  # Whatever is wrong with Ray, this actor must go.
            remove_unused_groups(job_of(self._name))
        group = ray.util.get_current_placement_group()
        if group is not None:
            ray.util.remove_placement_group(group)
        time.sleep(REMOVAL_WAIT_S)
        os._exit(0)
