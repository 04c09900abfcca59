# pyright: basic, reportPrivateImportUsage=false
"""A function of ours, run once on each of some nodes."""

from collections.abc import Callable
from typing import Any

import ray
from ray.exceptions import GetTimeoutError, RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from .cluster import Json


def on_nodes(function: Callable[..., Json], node_ids: list[str], args: list[Any], timeout_s: float) -> dict[str, Json]:
    """What it answered, by node; those that died or were too slow are left out."""
    task = ray.remote(num_cpus=0, max_retries=0)(function)
    asked = {
        node_id: task.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node_id, soft=False)).remote(*args)
        for node_id in node_ids
    }
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
