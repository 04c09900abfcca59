# pyright: basic
"""What the tests on a real Ray cluster share. Its nodes cannot import anything of ours."""

import os
import sys
from pathlib import Path
from typing import Any

import pytest
import ray

from pdjob_agent.errors import AgentError
from pdjob_agent.ray_cluster import RayCluster
from pdjob_agent.verbs import VERBS

from ..processes import within

PROBE = {"path": "/", "intervalS": 0.1, "timeoutS": 2}
# A server, and a child in a session of its own that only a guard finds.
ENGINE = "setsid sleep 300 & exec {python} -m http.server {port} --bind {host}"


class Agent:
    """Calls verbs as the protocol does."""

    def __init__(self, cluster: RayCluster) -> None:
        self._cluster = cluster

    def __call__(self, verb: str, **args: Any) -> Any:
        return VERBS[verb](self._cluster, args)

    def code_of(self, verb: str, **args: Any) -> str:
        with pytest.raises(AgentError) as caught:
            self(verb, **args)
        return caught.value.code

    def ranks(self) -> list[Any]:
        listed = self("list", job="a")
        return listed["replicas"] + listed["followers"]

    def reserve(self, name: str, gpus: int = 2) -> None:
        assert within(
            10, lambda: self("ensurePlacementGroup", name=name, bundles=[{"GPU": gpus}])["state"] == "CREATED"
        )

    def group(self, name: str) -> Any:
        job = name.split("-", 1)[0]
        return next(one for one in self("list", job=job)["placementGroups"] if one["name"] == name)

    def replica(self, name: str, lease_s: float = 0) -> Any:
        self.reserve(name)
        ports = [{"name": "http", "span": 1}, {"name": "side", "span": 4}]
        return self(
            "ensureReplica",
            name=name,
            placementGroup=name,
            gpus=2,
            cpus=0,
            ports=ports,
            leaseS=lease_s,
        )

    def engine(self, name: str, cwd: Path, lease_s: float = 0) -> Any:
        endpoint = self.replica(name, lease_s)["endpoint"]
        script = ENGINE.format(python=sys.executable, port=endpoint["ports"]["http"], host=endpoint["host"])
        self.start(name, ["bash", "-c", script], cwd)
        assert within(10, lambda: self("replicaStatus", name=name)["state"] == "healthy")
        return self("replicaStatus", name=name)

    def start(self, name: str, argv: list[str], cwd: Path, spec: str = "s") -> Any:
        return self("startEngine", name=name, argv=argv, env={"A": "1"}, cwd=str(cwd), specHash=spec, probe=PROBE)


def actor_pid(name: str) -> int:
    actor = ray.get_actor(name)
    return ray.get(actor.__ray_call__.remote(lambda _self: os.getpid()))
