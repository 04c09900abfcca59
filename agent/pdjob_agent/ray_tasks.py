# pyright: basic, reportPrivateImportUsage=false
"""A function of ours, run once on each of some nodes."""

from collections.abc import Callable
from typing import Any

import ray
from ray.exceptions import GetTimeoutError, RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from .cluster import Json


def task_of(function: Callable[..., Json]) -> Any:
    """Takes no resources and is not tried again. Made once for all nodes: each of these is sent to the cluster anew."""
    return ray.remote(num_cpus=0, max_retries=0)(function)


def begin_on(node_id: str, task: Any, args: list[Any]) -> Any:
    """A reference to its answer."""
    return task.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node_id, soft=False)).remote(*args)


def on_nodes(function: Callable[..., Json], node_ids: list[str], args: list[Any], timeout_s: float) -> dict[str, Json]:
    """What it answered, by node; those that died or were too slow are left out."""
    task = task_of(function)
    asked = {node_id: begin_on(node_id, task, args) for node_id in node_ids}
    ray.wait(list(asked.values()), num_returns=len(asked), timeout=timeout_s)
    answers: dict[str, Json] = {}
    for node_id, reference in asked.items():
        try:
            answers[node_id] = ray.get(reference, timeout=0)
        except GetTimeoutError:
            ray.cancel(reference)
        except RayError:
            continue  # It died meanwhile.
    return answers
