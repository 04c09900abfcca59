# pyright: basic
"""The verbs on a real Ray cluster: what they make, and what it finds there."""

import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
import ray
from ray.experimental import internal_kv

from pdjob_agent.errors import AgentError

from ..contract import Json, result_of
from ..processes import all_gone, marked, within
from .agent import PROBE, Agent

pytestmark = pytest.mark.ray


def test_groups_are_created_once_and_removed(agent: Agent) -> None:
    agent.reserve("a-prefill-0-g1", 8)
    waiting = agent("ensurePlacementGroup", name="a-decode-0-g1", bundles=[{"GPU": 1}])
    assert waiting["state"] == "PENDING"
    reason = lambda: agent.group("a-decode-0-g1").get("schedulingState")  # noqa: E731
    assert within(5, lambda: reason() == "NO_RESOURCES"), reason()
    assert agent("removePlacementGroup", name="a-prefill-0-g1") == {"removed": True}
    assert agent("removePlacementGroup", name="a-prefill-0-g1") == {"removed": False}
    assert within(5, lambda: agent.group("a-decode-0-g1")["state"] == "CREATED")


def test_a_group_that_can_never_fit_says_so(agent: Agent) -> None:
    agent("ensurePlacementGroup", name="a-prefill-0-g1", bundles=[{"GPU": 99}])
    status = lambda: agent.group("a-prefill-0-g1")  # noqa: E731
    assert within(5, lambda: status().get("schedulingState") == "INFEASIBLE")


def test_an_engine_starts_once_serves_and_stops(agent: Agent, tmp_path: Path) -> None:
    status = agent.engine("a-prefill-0-g1", tmp_path)
    assert status["endpoint"]["ports"]["side"] + 3 <= 31_999
    again = agent.start("a-prefill-0-g1", ["other"], tmp_path)
    assert again["pid"] == status["pid"]
    assert (
        agent.code_of("startEngine", name="a-prefill-0-g1", argv=[], env={}, cwd="/", specHash="t", probe=PROBE)
        == "StaleGeneration"
    )
    environ = Path(f"/proc/{status['pid']}/environ").read_bytes().decode()
    assert "CUDA_VISIBLE_DEVICES=" in environ
    assert "RAY_" not in environ and "OMP_NUM_THREADS" not in environ
    log = agent("logs", name="a-prefill-0-g1", maxBytes=10_000)
    assert "GET / HTTP" in log["text"]
    assert agent("logs", name="a-prefill-0-g1", offset=log["offset"], maxBytes=10)["offset"] >= log["offset"]
    assert agent("stopReplica", name="a-prefill-0-g1", graceS=2) == {"stopped": True}
    assert all_gone("a-prefill-0-g1")
    assert agent("list", job="a")["replicas"] == []


def test_real_answers_have_the_fields_of_the_contract(agent: Agent, tmp_path: Path) -> None:
    healthy = agent.engine("a-prefill-0-g1", tmp_path)
    os.kill(healthy["pid"], signal.SIGKILL)
    assert within(5, lambda: agent("replicaStatus", name="a-prefill-0-g1")["state"] == "exited")
    real = {
        ("replicaStatus", "healthy"): healthy,
        ("replicaStatus", "exited"): agent("replicaStatus", name="a-prefill-0-g1"),
        ("ensurePlacementGroup", "placed at once"): agent.group("a-prefill-0-g1"),
        ("ping", "who answers"): agent("ping"),
        ("logs", "from where it was left"): agent("logs", name="a-prefill-0-g1", maxBytes=9),
    }
    for (verb, name), answer in real.items():
        assert fields_of(answer) == fields_of(result_of(verb, name)), verb
    example = result_of("nodes", "a head that is alive and a node that died")
    for node in agent("nodes")["nodes"]:
        assert fields_of(node) == fields_of(example["nodes"][0])


def fields_of(answer: dict[str, Any]) -> set[str]:
    """`exit.code`: every field, however deep, but not the names that a user gave to ports."""
    found: set[str] = set()
    for key, value in answer.items():
        inside = fields_of(value) if isinstance(value, dict) and key != "ports" else set()
        found |= {key, *(f"{key}.{one}" for one in inside)}
    return found


def test_an_engine_that_cannot_be_executed_says_why(agent: Agent, tmp_path: Path) -> None:
    agent.replica("a-prefill-0-g1")
    with pytest.raises(AgentError, match="no-such-engine: No such file or directory") as caught:
        agent.start("a-prefill-0-g1", ["no-such-engine"], tmp_path)
    assert caught.value.code == "EngineNotStarted"


def test_a_command_is_asked_on_a_node_without_gpus_and_leaves_no_process(agent: Agent, tmp_path: Path) -> None:
    node = next(one["id"] for one in agent("nodes")["nodes"] if one["total"]["GPU"] == 8)

    def probe(argv: list[str], package: str, timeout_s: float = 20, node_id: str = node) -> Any:
        rest: Json = {"env": {"A": "1"}, "cwd": str(tmp_path), "timeoutS": timeout_s}
        return agent("probeEngine", nodeId=node_id, argv=argv, package=package, **rest)

    def ask(script: str, timeout_s: float = 20, node_id: str = node) -> Any:
        argv = ["bash", "-c", script]
        return probe(argv, "vllm", timeout_s, node_id)

    told = ask('echo warning >&2; echo "0.32.0+cpu $A $PWD [$CUDA_VISIBLE_DEVICES]"')
    assert told == {"code": 0, "output": f"warning\n0.32.0+cpu 1 {tmp_path} []\n"}
    assert ask("exit 3") == {"code": 3, "output": ""}
    hung = ask("echo begun; sleep 1000 & sleep 1000", timeout_s=1)
    assert hung == {"code": None, "output": "begun\n", "error": "it did not end within 1 s"}
    assert all_gone("pdjob-probe")
    missing = probe(["no-such-vllm"], "vllm")
    assert missing == {"code": None, "output": "", "error": "No such file or directory"}
    script = tmp_path / "vllm"
    script.write_text(f"#!{sys.executable}\nprint('ran')\n")
    script.chmod(0o755)
    assert probe([str(script), "--version"], "ray") == {"code": 0, "output": f"{ray.__version__}\n"}
    assert probe([str(script), "--version"], "no-such-package") == {"code": 0, "output": "ran\n"}
    gone = ask("true", node_id="0" * 56)
    assert (gone["code"], gone["error"].startswith("the node cannot be asked")) == (None, True)


def test_an_engine_finds_its_files_and_an_empty_folder_and_its_files_go_with_it(agent: Agent, tmp_path: Path) -> None:
    left = tmp_path / ".pdjob" / "kv" / "a" / "left"
    left.parent.mkdir(parents=True)
    left.write_text("by an earlier job")
    agent.replica("a-prefill-0-g1")
    path = ".pdjob/files/a-prefill-0-g1/lmcache.yaml"
    extra: Json = {"files": [{"path": path, "text": "ä: 1\n"}], "emptied": [".pdjob/kv/a"]}
    script = f"cat {path}; ls .pdjob/kv/a; touch .pdjob/kv/a/mine; sleep 60"
    rest: Json = {"env": {}, "cwd": str(tmp_path), "specHash": "s", "probe": PROBE}
    argv = ["bash", "-c", script]
    for _ in range(2):
        agent("startEngine", name="a-prefill-0-g1", argv=argv, **rest, **extra)
        assert within(5, (left.parent / "mine").exists)
    assert agent("logs", name="a-prefill-0-g1", maxBytes=100)["text"] == "ä: 1\n"
    agent("stopReplica", name="a-prefill-0-g1", graceS=1)
    assert os.listdir(tmp_path / ".pdjob" / "files") == []

    agent.replica("a-prefill-0-g2")
    outside: Json = {"files": [{"path": "../x", "text": ""}]}
    assert agent.code_of("startEngine", name="a-prefill-0-g2", argv=argv, **rest, **outside) == "EngineNotStarted"


def test_a_replica_that_gets_no_ports_is_refused_and_listed_like_any_other(agent: Agent) -> None:
    agent.reserve("a-prefill-0-g1")
    args: dict[str, Any] = {"placementGroup": "a-prefill-0-g1", "gpus": 2, "cpus": 0, "leaseS": 0}
    args["ports"] = [{"name": "x", "span": 99_999}]
    assert agent.code_of("ensureReplica", name="a-prefill-0-g1", **args) == "EngineNotStarted"
    [listed] = agent("list", job="a", leaseS=60)["replicas"]
    assert (listed["role"], listed["index"], listed["generation"], listed["state"]) == ("prefill", 0, 1, "exited")
    assert "99999 contiguous ports (x)" in listed["logTail"]


def test_uploaded_files_are_where_an_engine_runs_also_when_ray_had_lost_them(
    agent: Agent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    deploy = tmp_path / "deploy"
    deploy.mkdir()
    (deploy / "run.sh").write_text("#!/bin/sh\npwd; cat hello.txt\n")
    (deploy / "run.sh").chmod(0o755)
    (deploy / "hello.txt").write_text("hello from the worker's machine\n")
    package = agent("upload", directory=str(deploy))["package"]
    assert internal_kv._internal_kv_del(package) == 1
    assert agent("upload", directory=str(deploy), package=package) == {"package": package}
    assert agent("upload", directory=str(deploy))["uploaded"] is False
    agent.reserve("a-prefill-0-g1")
    actor = {"placementGroup": "a-prefill-0-g1", "gpus": 2, "cpus": 0, "ports": [], "leaseS": 0}
    agent("ensureReplica", name="a-prefill-0-g1", package=package, **actor)
    agent.start("a-prefill-0-g1", ["./run.sh"], tmp_path / "work")
    assert within(5, lambda: agent("replicaStatus", name="a-prefill-0-g1")["state"] == "exited")
    log = agent("logs", name="a-prefill-0-g1", maxBytes=1_000)
    folder, text = log["text"].splitlines()
    assert folder.startswith(str(tmp_path / "work" / ".pdjob" / "upload" / "a-prefill-0-g1."))
    assert text == "hello from the worker's machine"
    assert log["path"] == str(tmp_path / "work" / ".pdjob" / "logs" / "a-prefill-0-g1.log")
    agent("stopReplica", name="a-prefill-0-g1", graceS=1)
    assert not os.path.exists(folder)


def test_an_actor_whose_files_ray_does_not_have_is_no_actor(agent: Agent) -> None:
    agent.reserve("a-prefill-0-g1")
    actor = {"placementGroup": "a-prefill-0-g1", "gpus": 2, "cpus": 0, "ports": [], "leaseS": 0}
    missing = {"package": "gcs://_ray_pkg_0123.zip", **actor}
    assert agent.code_of("ensureReplica", name="a-prefill-0-g1", **missing) == "RayUnreachable"
    assert agent("list", job="a")["replicas"] == []
    assert agent("ensureReplica", name="a-prefill-0-g1", **actor)["state"] == "idle"


def test_racing_requests_make_one_actor_and_one_engine(agent: Agent, tmp_path: Path) -> None:
    agent.reserve("a-prefill-0-g1")
    pids: list[int] = []

    def race() -> None:
        agent.replica("a-prefill-0-g1")
        pids.append(agent.start("a-prefill-0-g1", ["sleep", "300"], tmp_path)["pid"])

    threads = [threading.Thread(target=race) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(pids) == 4 and len(set(pids)) == 1
    assert marked("a-prefill-0-g1") == [pids[0]]
