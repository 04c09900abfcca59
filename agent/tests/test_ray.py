# pyright: basic
"""The verbs on a real Ray cluster, whose nodes cannot import anything of ours."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import ray
from ray.experimental import internal_kv

from pdjob_agent.errors import AgentError
from pdjob_agent.ray_cluster import RayCluster
from pdjob_agent.verbs import VERBS

from .contract import Json, result_of
from .processes import all_gone, marked, within
from .ray_rig import START_S, LocalRay, free_port, kill_node

pytestmark = pytest.mark.ray
AGENT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
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


@pytest.fixture(scope="module")
def local_ray() -> Iterator[LocalRay]:
    rig = LocalRay()
    yield rig
    rig.stop()


@pytest.fixture(scope="module")
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


def test_an_external_proxy_is_up_when_its_port_answers_and_seen_when_it_ends(agent: Agent, tmp_path: Path) -> None:
    port = free_port()
    proxy: dict[str, Any] = {"name": "a-proxy-g1", "env": {}, "cwd": str(tmp_path), "host": "0.0.0.0", "port": port}
    proxy |= {"builtin": False, "files": [], "specHash": "p", "leaseS": 0, "startTimeoutS": 10}
    proxy |= {"argv": [sys.executable, "-m", "http.server", str(port)]}
    status = agent("ensureProxy", **proxy)
    assert (status["state"], status["port"]) == ("healthy", port)
    assert agent("ensureProxy", **proxy)["pid"] == status["pid"]
    assert agent.code_of("setMembership", name="a-proxy-g1", membership={}) == "BadRequest"
    assert agent.code_of("ensureProxy", **{**proxy, "name": "b-proxy-g1"}) == "ProxyNotStarted"
    os.kill(status["pid"], signal.SIGKILL)
    assert within(5, lambda: agent("list", job="a")["proxies"][0]["state"] == "exited")
    assert agent("stopProxy", name="a-proxy-g1", graceS=1) == {"stopped": True}


def test_an_external_proxy_is_told_by_its_file_or_by_requests_and_its_owner_remembers(
    agent: Agent, tmp_path: Path
) -> None:
    port = free_port()
    member = {"name": "a-decode-0-g1", "role": "decode", "url": "http://10.0.0.1:8"}
    calls = {"add": {"method": "POST", "url": "/add", "headers": {}, "accept": []}}
    by_file = {"kind": "file", "path": "conf/members", "text": "one"}
    by_http = {"kind": "http", "calls": [{"name": member["name"], **calls}]}
    # It starts only where its file is already.
    serve = f"cat conf/members && exec {sys.executable} -m http.server {port}"
    proxy: dict[str, Any] = {"name": "a-proxy-g1", "env": {}, "cwd": str(tmp_path), "host": "0.0.0.0", "port": port}
    proxy |= {"builtin": False, "files": [], "specHash": "p", "leaseS": 0, "startTimeoutS": 10}
    proxy |= {"argv": ["bash", "-ec", serve], "membership": {"generation": 0, "members": []}, "telling": by_file}
    assert agent("ensureProxy", **proxy)["membership"] == {"generation": 0, "members": []}
    told = {"name": "a-proxy-g1", "membership": {"generation": 4, "members": [member]}}
    assert agent("setMembership", **told, telling={**by_file, "text": "two"}) == {"acknowledged": 4}
    assert (tmp_path / "conf" / "members").read_text() == "two"
    assert agent("list", job="a")["proxies"][0]["membership"] == told["membership"]
    assert agent.code_of(
        "setMembership", **{**told, "membership": {"generation": 3, "members": []}}, telling=by_file
    ) == ("StaleGeneration")
    agent("stopProxy", name="a-proxy-g1", graceS=1)
    agent("ensureProxy", **{**proxy, "name": "a-proxy-g2", "telling": by_http})
    with pytest.raises(AgentError) as caught:
        agent("setMembership", **{**told, "name": "a-proxy-g2"}, telling=by_http)
    assert caught.value.code == "MembershipRefused"
    assert f":{port}/add for a-decode-0-g1 was answered 501" in caught.value.message
    assert agent("list", job="a")["proxies"][0]["membership"] == {"generation": 4, "members": []}
    assert agent("stopProxy", name="a-proxy-g2", graceS=1) == {"stopped": True}


def test_sweep_leaves_nothing_of_one_job_and_all_of_another(agent: Agent, tmp_path: Path) -> None:
    agent.engine("a-prefill-0-g1", tmp_path)
    agent.engine("a-b-prefill-0-g1", tmp_path)
    assert len(agent("sweep", job="a", dryRun=False)["removed"]) == 2
    assert marked("a-prefill-0-g1") == []
    assert agent("list", job="a-b")["replicas"][0]["state"] == "healthy"


def test_a_cluster_with_token_authentication(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("x" * 32)
    auth = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token)}
    rig = LocalRay(auth)
    try:
        assert within(START_S, lambda: "hello" in greeting(rig.address, auth))
        refused = greeting(rig.address, {**auth, "RAY_AUTH_TOKEN_PATH": str(tmp_path / "missing")})
        assert (refused["fatal"]["class"], refused["fatal"]["code"]) == ("fatal", "AuthDenied")
        assert "RAY_AUTH_TOKEN_PATH" in refused["fatal"]["message"]
    finally:
        rig.stop()


def greeting(address: str, env: dict[str, str]) -> dict[str, Any]:
    command = [sys.executable, "-m", "pdjob_agent", "--address", address]
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    full = {**inherited, **env, "PYTHONPATH": AGENT}
    done = subprocess.run(command, env=full, input="", capture_output=True, text=True, timeout=60, check=False)
    return json.loads(done.stdout or '{"none":true}')


def actor_pid(name: str) -> int:
    actor = ray.get_actor(name)
    return ray.get(actor.__ray_call__.remote(lambda _self: os.getpid()))
