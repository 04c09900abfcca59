# pyright: basic
"""What is killed, hangs or is out of date on a real Ray cluster, and that nothing outlives it."""

import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from ..processes import all_gone, marked, within
from ..ray_rig import START_S, LocalRay, kill_node
from .agent import PROBE, Agent, actor_pid

pytestmark = pytest.mark.ray


def test_a_killed_engine_is_seen_with_its_last_lines(agent: Agent, tmp_path: Path) -> None:
    agent.replica("a-prefill-0-g1")
    agent.start("a-prefill-0-g1", ["bash", "-c", "setsid sleep 300 & echo last words; exit 3"], tmp_path)
    assert within(5, lambda: agent("replicaStatus", name="a-prefill-0-g1")["state"] == "exited")
    status = agent("replicaStatus", name="a-prefill-0-g1")
    assert (status["exit"]["code"], status["logTail"]) == (3, "last words")
    assert all_gone("a-prefill-0-g1")


def test_no_process_outlives_a_killed_actor(agent: Agent, tmp_path: Path) -> None:
    agent.engine("a-prefill-0-g1", tmp_path)
    os.kill(actor_pid("a-prefill-0-g1"), signal.SIGKILL)
    assert all_gone("a-prefill-0-g1")
    assert within(5, lambda: agent("list", job="a")["replicas"] == [])


def test_no_process_outlives_a_killed_raylet(agent: Agent, local_ray: LocalRay, tmp_path: Path) -> None:
    agent.reserve("hold-prefill-0-g1", 8)
    node = local_ray.add_node(2)
    agent.engine("a-prefill-0-g1", tmp_path)
    kill_node(node)
    assert all_gone("a-prefill-0-g1")


def test_a_gang_has_a_rank_on_each_node_and_stops_as_one_when_a_node_dies(
    agent: Agent, local_ray: LocalRay, tmp_path: Path
) -> None:
    node = local_ray.add_node(2)
    name = "a-prefill-0-g1"
    group: dict[str, Any] = {"name": name, "bundles": [{"GPU": 2}] * 2, "strategy": "STRICT_SPREAD"}
    assert within(START_S, lambda: agent("ensurePlacementGroup", **group)["state"] == "CREATED")
    for rank, full in enumerate([name, f"{name}-r1"]):
        actor = {"placementGroup": name, "bundle": rank, "gpus": 2, "cpus": 0, "ports": []}
        agent("ensureReplica", name=full, leaseS=0, **actor)
        call = {"argv": ["sleep", "300"], "env": {}, "cwd": str(tmp_path), "specHash": "s"}
        agent("startEngine", name=full, **call, **({"probe": PROBE} if rank == 0 else {}))
    assert [one["state"] for one in agent.ranks()] == ["starting", "healthy"]
    hosts = [one["endpoint"]["host"] for one in agent.ranks()]
    assert hosts == agent.group(name)["nodeIps"] and len(set(hosts)) == 2
    kill_node(node)
    assert within(40, lambda: agent.group(name)["state"] == "RESCHEDULING")
    assert within(20, lambda: len(agent.ranks()) == 1)
    assert agent("stopReplica", name=name, graceS=1) == {"stopped": True}
    assert all_gone(name) and all_gone(f"{name}-r1")
    assert agent.ranks() == []


def test_a_log_is_read_after_its_actor_is_gone_and_not_after_its_node_is(
    agent: Agent, local_ray: LocalRay, tmp_path: Path
) -> None:
    agent.reserve("hold-prefill-0-g1", 8)
    node = local_ray.add_node(2)
    agent.replica("a-prefill-0-g1")
    agent.start("a-prefill-0-g1", ["bash", "-c", "echo last words; exit 3"], tmp_path)
    assert within(5, lambda: agent("replicaStatus", name="a-prefill-0-g1")["state"] == "exited")
    live = agent("logs", name="a-prefill-0-g1", maxBytes=100)
    agent("stopReplica", name="a-prefill-0-g1", graceS=1)
    asked = {"name": "a-prefill-0-g1", "workingDir": str(tmp_path), "maxBytes": 100}
    assert agent("logFile", **asked, host=live["host"]) == live
    assert agent("logFile", **asked)["text"] == "last words\n"
    assert agent.code_of("logFile", **{**asked, "name": "a-prefill-0-g2"}) == "LogNotFound"
    kill_node(node)
    dead = lambda: any(one["ip"] == live["host"] and not one["alive"] for one in agent("nodes")["nodes"])  # noqa: E731
    assert within(60, dead)
    assert agent.code_of("logFile", **asked, host=live["host"]) == "LogNotFound"


def test_a_hung_actor_is_lost_and_the_others_are_not(agent: Agent, tmp_path: Path) -> None:
    agent.engine("a-prefill-0-g1", tmp_path)
    agent.engine("a-decode-0-g1", tmp_path)
    hung = actor_pid("a-prefill-0-g1")
    os.kill(hung, signal.SIGSTOP)
    try:
        states = {one["name"]: one["state"] for one in agent("list", job="a")["replicas"]}
    finally:
        os.kill(hung, signal.SIGCONT)
    assert states == {"a-prefill-0-g1": "lost", "a-decode-0-g1": "healthy"}


def test_a_newer_generation_leaves_nothing_of_the_older(agent: Agent, tmp_path: Path) -> None:
    agent.engine("a-prefill-0-g1", tmp_path)
    agent.engine("a-prefill-0-g2", tmp_path)
    assert marked("a-prefill-0-g1") == []
    listed = agent("list", job="a")
    assert [one["name"] for one in listed["replicas"] + listed["placementGroups"]] == ["a-prefill-0-g2"] * 2
    assert agent.code_of("ensurePlacementGroup", name="a-prefill-0-g1", bundles=[{"GPU": 2}]) == "StaleGeneration"


def test_a_lapsed_lease_gives_everything_back_and_what_no_actor_is_in(agent: Agent, tmp_path: Path) -> None:
    agent.reserve("a-decode-0-g1")
    agent.reserve("a-b-decode-0-g1")
    agent.engine("a-prefill-0-g1", tmp_path, lease_s=2)
    until = time.monotonic() + 3
    while time.monotonic() < until:
        assert len(agent("list", job="a", leaseS=2)["replicas"]) == 1
        time.sleep(0.3)
    assert within(10, lambda: marked("a-prefill-0-g1") == [])
    other = {"job": "a-b", "replicas": 0, "placementGroups": 1, "proxies": 0}
    assert within(10, lambda: agent("jobs")["jobs"] == [other])


def test_sweep_leaves_nothing_of_one_job_and_all_of_another(agent: Agent, tmp_path: Path) -> None:
    agent.engine("a-prefill-0-g1", tmp_path)
    agent.engine("a-b-prefill-0-g1", tmp_path)
    assert len(agent("sweep", job="a", dryRun=False)["removed"]) == 2
    assert marked("a-prefill-0-g1") == []
    assert agent("list", job="a-b")["replicas"][0]["state"] == "healthy"
