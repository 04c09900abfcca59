"""Asking a verb of a cluster in memory."""

import pytest

from pdjob_agent.errors import AgentError
from pdjob_agent.verbs import VERBS

from .fake_cluster import FakeCluster, Json

GPU = [{"GPU": 2}]
REPLICA: Json = {"placementGroup": "a-prefill-0-g1", "gpus": 2, "cpus": 0, "ports": [], "leaseS": 0}
PROXY: Json = {"name": "a-proxy-g1", "port": 1, "leaseS": 0, "startTimeoutS": 0.05, "builtin": False}


def call(cluster: FakeCluster, verb: str, **args: object) -> Json:
    return VERBS[verb](cluster, args)


def code_of(cluster: FakeCluster, verb: str, **args: object) -> str:
    with pytest.raises(AgentError) as caught:
        call(cluster, verb, **args)
    return caught.value.code
