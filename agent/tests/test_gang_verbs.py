from .asking import GPU, REPLICA, call, code_of
from .fake_cluster import FakeCluster


def gang(cluster: FakeCluster, full: str) -> None:
    """A replica of two ranks, both with a running engine."""
    call(cluster, "ensurePlacementGroup", name=full, bundles=[{"GPU": 6}, {"GPU": 6}], strategy="STRICT_SPREAD")
    for rank, name in enumerate([full, f"{full}-r1"]):
        call(cluster, "ensureReplica", name=name, **{**REPLICA, "placementGroup": full, "bundle": rank})


def test_a_gang_is_listed_as_one_replica_with_followers() -> None:
    cluster = FakeCluster()
    gang(cluster, "a-prefill-0-g1")
    cluster.actors["a-prefill-0-g1-r1"] = {}
    assert cluster.strategies == {"a-prefill-0-g1": "STRICT_SPREAD"}
    listed = call(cluster, "list", job="a")
    assert [one["name"] for one in listed["replicas"]] == ["a-prefill-0-g1"]
    lost = {"name": "a-prefill-0-g1-r1", "role": "prefill", "index": 0, "generation": 1, "rank": 1, "state": "lost"}
    assert listed["followers"] == [lost]
    assert listed["placementGroups"][0]["nodeIps"] == ["10.0.0.1", "10.0.0.2"]
    assert call(cluster, "jobs") == {"jobs": [{"job": "a", "replicas": 1, "placementGroups": 1, "proxies": 0}]}


def test_a_gang_stops_as_one_and_rank_0_first() -> None:
    cluster = FakeCluster()
    gang(cluster, "a-prefill-0-g1")
    gang(cluster, "a-prefill-1-g1")
    cluster.calls.clear()
    assert call(cluster, "stopReplica", name="a-prefill-0-g1", graceS=1) == {"stopped": True}
    expected = [f"{what} a-prefill-0-g1{rank}" for rank in ("", "-r1") for what in ("stop", "kill")]
    assert cluster.calls == expected
    assert call(cluster, "stopReplica", name="a-prefill-0-g1", graceS=1) == {"stopped": False}
    assert sorted(cluster.actors) == ["a-prefill-1-g1", "a-prefill-1-g1-r1"]


def test_followers_whose_rank_0_is_gone_are_stopped_too() -> None:
    cluster = FakeCluster()
    gang(cluster, "a-prefill-0-g1")
    del cluster.actors["a-prefill-0-g1"]
    assert call(cluster, "stopReplica", name="a-prefill-0-g1", graceS=1) == {"stopped": True}
    assert cluster.actors == {}


def test_a_newer_generation_of_a_gang_leaves_no_rank_of_the_older() -> None:
    cluster = FakeCluster()
    gang(cluster, "a-prefill-0-g1")
    call(cluster, "ensurePlacementGroup", name="a-prefill-0-g2", bundles=GPU)
    assert cluster.actors == {}
    assert [group["name"] for group in cluster.groups()] == ["a-prefill-0-g2"]
    assert code_of(cluster, "ensureReplica", name="a-prefill-0-g1-r1", **REPLICA) == "StaleGeneration"
