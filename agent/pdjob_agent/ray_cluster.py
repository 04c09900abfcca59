# pyright: basic, reportPrivateImportUsage=false, reportAttributeAccessIssue=false
"""With its neighbours ray_*.py, all of the agent that calls Ray. (Its types are partial: a weaker check.)"""

import contextlib
import logging
import platform
import time
from importlib.resources import files
from typing import Any

import ray
from ray import cloudpickle
from ray.exceptions import GetTimeoutError, RayActorError, RayError, RuntimeEnvSetupError
from ray.util.scheduling_strategies import (
    NodeAffinitySchedulingStrategy,
    PlacementGroupSchedulingStrategy,
)

from . import node, ray_groups, ray_packages
from .cluster import UNKNOWN_METHOD, Json
from .errors import AgentError
from .names import parse_proxy, parse_replica
from .node.kv_folder import clear_kv
from .node.logs import read_left_log
from .node.looking import look_at_node
from .node.probe import probe_engine
from .node.proxy_actor import ProxyActor
from .node.replica_actor import ReplicaActor
from .ray_tasks import begin_on, on_nodes, task_of

# Long enough for a slow GCS, short enough that a verb never hangs.
GONE_TIMEOUT_S = 15.0
POLL_S = 0.05
# From the end of its actor, for a guard to end its tree: its own ORPHAN_GRACE_S, and room to notice and to reap.
GUARD_END_S = 3.0
# A task's process imports Ray and our code first, on a node that may be busy, and asks for metadata.
WORKER_START_S = 40.0
# status, start, stop and logs at the same time, from more than one agent.
ACTOR_CONCURRENCY = 16
HEAD_RESOURCE = "node:__internal_head__"


class RayCluster:
    """A driver in the cluster at `address`. Handles of actors are only a cache: names are the truth."""

    def __init__(self, address: str, namespace: str) -> None:
        # The nodes have Ray and nothing of ours, so our code travels inside the pickles.
        cloudpickle.register_pickle_by_value(node)
        ray.init(address=address, namespace=namespace, log_to_driver=False, logging_level=logging.ERROR)
        self._namespace = namespace
        self._guard_source = files(node).joinpath("guard.py").read_text()
        self._handles: dict[str, Any] = {}

    def hello(self) -> Json:
        session = ray._private.worker.global_worker.node.session_name
        return {
            "protocol": 1,
            "rayVersion": ray.__version__,
            "pythonVersion": platform.python_version(),
            "session": session,
            "nodeIp": ray.util.get_node_ip_address(),
        }

    def raylet_socket(self) -> str:
        return str(ray._private.worker.global_worker.node.raylet_socket_name)

    def nodes(self) -> list[Json]:
        free = ray._private.state.available_resources_per_node()
        return [
            {
                "id": one["NodeID"],
                "ip": one["NodeManagerAddress"],
                "alive": one["Alive"],
                "isHead": HEAD_RESOURCE in one["Resources"],
                "total": amounts(one["Resources"]),
                "available": amounts(free.get(one["NodeID"], {})),
            }
            for one in ray.nodes()
        ]

    def probe_engine(self, node_id: str, args: Json) -> Json:
        limit: float = args["timeoutS"]
        asked = begin_on(node_id, task_of(probe_engine), [args, self._guard_source])
        try:
            return ray.get(asked, timeout=limit + WORKER_START_S)
        except GetTimeoutError:
            ray.cancel(asked, force=True)
            return {"code": None, "output": "", "error": f"the node did not answer within {limit + WORKER_START_S} s"}
        except RayError as error:
            return {"code": None, "output": "", "error": f"the node cannot be asked: {type(error).__name__}"}

    def groups(self) -> list[Json]:
        return ray_groups.present_groups()

    def create_group(self, name: str, bundles: list[Json], strategy: str) -> None:
        ray_groups.create_group(name, bundles, strategy)

    def remove_groups(self, *names: str) -> None:
        ray_groups.remove_groups(names, GONE_TIMEOUT_S)

    def actor_names(self) -> list[str]:
        return ray.util.list_named_actors()

    def create_replica(self, name: str, args: Json) -> None:
        parsed = parse_replica(name)
        assert parsed is not None
        group = ray_groups.handle_of_created(args["placementGroup"])
        rank = {"rank": parsed.rank} if parsed.rank > 0 else {}
        identity = {"role": parsed.role, "index": parsed.index, "generation": parsed.generation, **rank}
        strategy = PlacementGroupSchedulingStrategy(group, args.get("bundle", 0))
        needs = {"num_cpus": args["cpus"], "num_gpus": args["gpus"], "scheduling_strategy": strategy}
        needs |= folder_of(args.get("package"))
        self._create(ReplicaActor, name, needs, [identity, args["ports"], args["leaseS"]])

    def create_proxy(self, name: str, lease_s: float, package: str | None) -> None:
        parsed = parse_proxy(name)
        assert parsed is not None
        head = next((one["id"] for one in self.nodes() if one["isHead"] and one["alive"]), None)
        if head is None:
            raise AgentError(
                "RayUnreachable",
                "The cluster has no head node that is alive, so the proxy has no place.",
            )
        strategy = NodeAffinitySchedulingStrategy(head, soft=False)
        needs = {"num_cpus": 0, "num_gpus": 0, "scheduling_strategy": strategy}
        needs |= folder_of(package)
        self._create(ProxyActor, name, needs, [parsed.generation, lease_s])

    def _create(self, kind: type, name: str, needs: dict[str, Any], args: list[Any]) -> None:
        options = {
            "name": name,
            "lifetime": "detached",
            "get_if_exists": True,
            "max_restarts": 0,
            "max_task_retries": 0,
            "max_concurrency": ACTOR_CONCURRENCY,
            **needs,
        }
        try:
            self._handles[name] = ray.remote(kind).options(**options).remote(name, *args, self._guard_source)
        except (RayError, ValueError) as error:
            raise AgentError("RayUnreachable", f"Ray refused actor {name}: {error}") from error

    def ask(self, name: str, method: str, args: list[Any], timeout_s: float) -> Any | None:
        return self.ask_all([name], method, args, timeout_s).get(name)

    def ask_all(self, names: list[str], method: str, args: list[Any], timeout_s: float) -> dict[str, Any | None]:
        handles = {name: self._handle(name) for name in names}
        known = {name: one for name, one in handles.items() if hasattr(one, method)}
        asked = {name: getattr(one, method).remote(*args) for name, one in known.items()}
        if asked:
            ray.wait(list(asked.values()), num_returns=len(asked), timeout=timeout_s)
        answers: dict[str, Any | None] = {
            name: UNKNOWN_METHOD for name, one in handles.items() if one is not None and name not in known
        }
        for name, reference in asked.items():
            try:
                answers[name] = ray.get(reference, timeout=0)
            except GetTimeoutError:
                answers[name] = None
            except RuntimeEnvSetupError:
                self._handles.pop(name, None)  # It never lived: Ray did not have its files any more.
            except RayActorError as error:
                self._handles.pop(name, None)
                # An unavailable actor may come back (its node is unreachable); a dead one is simply gone.
                if type(error).__name__ == "ActorUnavailableError":
                    answers[name] = None
        return answers

    def has_package(self, package: str) -> bool:
        return ray_packages.has_package(package)

    def put_package(self, package: str, content: bytes) -> None:
        ray_packages.put_package(package, content)

    def read_left_logs(
        self, node_ids: list[str], path: str, offset: int | None, max_bytes: int, timeout_s: float
    ) -> dict[str, Json]:
        return on_nodes(read_left_log, node_ids, [path, offset, max_bytes], timeout_s)

    def clear_kv(self, node_ids: list[str], folders: list[str], dry_run: bool, timeout_s: float) -> dict[str, Json]:
        return on_nodes(clear_kv, node_ids, [folders, dry_run], timeout_s)

    def look_at_node(self, node_id: str, port: int, timeout_s: float) -> Json | None:
        return on_nodes(look_at_node, [node_id], [port], timeout_s).get(node_id)

    def kill(self, *names: str) -> None:
        for name in names:
            handle = self._handle(name)
            if handle is not None:
                with contextlib.suppress(RayError):
                    ray.kill(handle)
            self._handles.pop(name, None)
        until = time.monotonic() + GONE_TIMEOUT_S
        while left := [name for name in self.actor_names() if name in names]:
            if time.monotonic() > until:
                raise AgentError(
                    "RayUnreachable",
                    f"Still there {GONE_TIMEOUT_S:.0f} s after they were killed: actors {', '.join(left)}.",
                )
            time.sleep(POLL_S)

    def let_guards_end(self) -> None:
        time.sleep(GUARD_END_S)  # Nobody is left there to ask: a guard goes with what it owned.

    def _handle(self, name: str) -> Any | None:
        if name not in self._handles:
            try:
                self._handles[name] = ray.get_actor(name)
            except ValueError:
                return None
        return self._handles[name]


def folder_of(package: str | None) -> Json:
    """The option that makes the actor one that uses a package: Ray then keeps it, and the actor gets at it."""
    return {"runtime_env": {"working_dir": package}} if package else {}


def amounts(resources: Json) -> Json:
    return {kind: float(resources.get(kind, 0)) for kind in ("GPU", "CPU")}
