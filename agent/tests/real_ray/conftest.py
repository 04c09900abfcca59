# pyright: basic
"""One cluster for all files of this folder: it takes seconds to start."""

from collections.abc import Iterator

import pytest
import ray

from pdjob_agent.ray_cluster import RayCluster

from ..processes import within
from ..ray_rig import START_S, LocalRay
from .agent import Agent


@pytest.fixture(scope="package")
def local_ray() -> Iterator[LocalRay]:
    rig = LocalRay()
    yield rig
    rig.stop()


@pytest.fixture(scope="package")
def agent(local_ray: LocalRay) -> Iterator[Agent]:
    cluster: list[RayCluster] = []
    refusals: list[Exception] = []

    def join() -> bool:
        try:
            cluster.append(RayCluster(local_ray.address, "pdjob"))
        except (ConnectionError, RuntimeError, ValueError) as error:
            refusals.append(error)
            ray.shutdown()
            return False
        return True

    assert within(START_S, join), refusals
    local_ray.add_node(8)
    assert within(START_S, lambda: sum(node["total"]["GPU"] for node in cluster[0].nodes()) == 8)
    yield Agent(cluster[0])
    ray.shutdown()


@pytest.fixture(autouse=True)
def clean(agent: Agent) -> Iterator[None]:
    yield
    for job in agent("jobs")["jobs"]:
        agent("sweep", job=job["job"], dryRun=False)
