import os
from pathlib import Path

import pytest

from .asking import GPU, call, code_of
from .fake_cluster import FakeCluster, Json

# Each begins as another does, or as a name of another's replica, proxy or rank does.
NEIGHBOURS = ["a", "a-b", "a-decode-0", "a-decode-0-g1", "a-prefill-0-g1-r1", "a-proxy", "a-proxy-g1", "a-prefill-01"]


@pytest.mark.parametrize("job", NEIGHBOURS)
def test_sweep_takes_exactly_one_job_whatever_its_neighbours_are_called(job: str) -> None:
    cluster = FakeCluster()
    for each in NEIGHBOURS:
        call(cluster, "ensurePlacementGroup", name=f"{each}-decode-0-g1", bundles=GPU)
        cluster.create_replica(f"{each}-decode-0-g1", {})
        cluster.create_replica(f"{each}-decode-0-g1-r1", {})
        cluster.create_proxy(f"{each}-proxy-g1", 0, None)
    expected = [
        {"kind": "actor", "name": f"{job}-decode-0-g1"},
        {"kind": "actor", "name": f"{job}-decode-0-g1-r1"},
        {"kind": "actor", "name": f"{job}-proxy-g1"},
        {"kind": "placementGroup", "name": f"{job}-decode-0-g1"},
    ]
    assert call(cluster, "sweep", job=job, dryRun=True) == {"removed": expected}
    assert len(cluster.actors) == 3 * len(NEIGHBOURS)
    assert call(cluster, "sweep", job=job, dryRun=False) == {"removed": expected}
    left = [one for one in NEIGHBOURS if one != job]
    ends = ("decode-0-g1", "decode-0-g1-r1", "proxy-g1")
    assert sorted(cluster.actors) == sorted(f"{one}-{end}" for one in left for end in ends)
    whole = {"replicas": 1, "placementGroups": 1, "proxies": 1}
    assert call(cluster, "jobs") == {"jobs": [{"job": one, **whole} for one in sorted(left)]}


def test_sweep_takes_the_kv_of_exactly_one_job(tmp_path: Path) -> None:
    nodes: list[Json] = [
        {"id": one, "ip": f"10.0.0.{at}", "alive": one != "gone"} for at, one in enumerate(("n1", "n2", "gone"))
    ]
    cluster = FakeCluster({"nodes": nodes})
    kv = tmp_path / ".pdjob" / "kv"
    for job in ("a", "a-b", "ab"):
        (kv / job / "r1").mkdir(parents=True)
        (kv / job / "r1" / "layer").write_text("x")
    (tmp_path / ".pdjob" / "logs").mkdir()
    places = [str(tmp_path), str(tmp_path / "elsewhere")]
    expected = {"removed": [{"kind": "kvFolder", "name": str(kv / "a")}]}
    assert call(cluster, "sweep", job="a", dryRun=True, workingDirs=places) == expected
    assert sorted(os.listdir(kv)) == ["a", "a-b", "ab"]
    assert call(cluster, "sweep", job="a", dryRun=False, workingDirs=places) == expected
    assert sorted(os.listdir(kv)) == ["a-b", "ab"]
    assert sorted(os.listdir(tmp_path / ".pdjob")) == ["kv", "logs"]
    assert call(cluster, "sweep", job="a", dryRun=False, workingDirs=places) == {"removed": []}
    for job, place in (("../a-b", str(tmp_path)), ("a", "relative"), ("..", str(tmp_path))):
        assert code_of(cluster, "sweep", job=job, dryRun=False, workingDirs=[place]) == "BadRequest"
    assert sorted(os.listdir(kv)) == ["a-b", "ab"]


def test_sweep_names_the_nodes_that_did_not_say_whether_they_hold_kv(tmp_path: Path) -> None:
    nodes: list[Json] = [{"id": "n1", "ip": "10.0.0.1", "alive": True}, {"id": "n2", "ip": "10.0.0.2", "alive": True}]
    cluster = FakeCluster({"nodes": nodes, "silent": ["n2"]})
    (tmp_path / ".pdjob" / "kv" / "a").mkdir(parents=True)
    swept = call(cluster, "sweep", job="a", dryRun=False, workingDirs=[str(tmp_path)])
    kv = {"kind": "kvFolder", "name": str(tmp_path / ".pdjob" / "kv" / "a")}
    assert swept == {"removed": [kv], "silentNodes": ["10.0.0.2"]}
