import pytest

from pdjob_agent.cluster import UNKNOWN_METHOD
from pdjob_agent.errors import AgentError
from pdjob_agent.removal import SHORT_GRACE_S

from .asking import GPU, PROXY, REPLICA, call, code_of
from .fake_cluster import FakeCluster, Json


def test_a_group_is_created_once_and_shown_with_its_bundles() -> None:
    cluster = FakeCluster()
    expected = {"name": "a-prefill-0-g1", "state": "CREATED", "nodeIps": ["10.0.0.1"], "bundles": [{"GPU": 2.0}]}
    assert call(cluster, "ensurePlacementGroup", name="a-prefill-0-g1", bundles=GPU) == expected
    assert call(cluster, "ensurePlacementGroup", name="a-prefill-0-g1", bundles=GPU) == expected
    assert cluster.calls == ["create_group a-prefill-0-g1"]


def test_a_pending_group_says_why() -> None:
    cluster = FakeCluster()
    cluster.full = True
    group = call(cluster, "ensurePlacementGroup", name="a-decode-0-g1", bundles=GPU)
    expected: Json = {"name": "a-decode-0-g1", "state": "PENDING", "schedulingState": "NO_RESOURCES", "nodeIps": []}
    assert group == {**expected, "bundles": [{"GPU": 2.0}]}


def test_a_group_of_another_shape_is_a_clash() -> None:
    cluster = FakeCluster()
    call(cluster, "ensurePlacementGroup", name="a-prefill-0-g1", bundles=GPU)
    assert code_of(cluster, "ensurePlacementGroup", name="a-prefill-0-g1", bundles=[{"GPU": 4}]) == "StaleGeneration"


def test_a_newer_generation_stops_and_removes_the_older_one_first() -> None:
    cluster = FakeCluster()
    call(cluster, "ensurePlacementGroup", name="a-prefill-0-g1", bundles=GPU)
    call(cluster, "ensureReplica", name="a-prefill-0-g1", **REPLICA)
    call(cluster, "ensurePlacementGroup", name="a-prefill-1-g1", bundles=GPU)
    cluster.calls.clear()
    call(cluster, "ensurePlacementGroup", name="a-prefill-0-g2", bundles=GPU)
    assert cluster.calls == [
        "stop a-prefill-0-g1",
        "kill a-prefill-0-g1",
        "remove_group a-prefill-0-g1",
        "create_group a-prefill-0-g2",
    ]
    assert [group["name"] for group in cluster.groups()] == ["a-prefill-1-g1", "a-prefill-0-g2"]


def test_what_must_exist_is_not_made_again_and_fences_nobody() -> None:
    cluster = FakeCluster()
    call(cluster, "ensurePlacementGroup", name="a-prefill-0-g1", bundles=GPU)
    call(cluster, "ensurePlacementGroup", name="a-prefill-0-g1", bundles=GPU, mustExist=True)
    call(cluster, "ensureProxy", **PROXY)
    call(cluster, "ensureProxy", **PROXY, mustExist=True)
    cluster.calls.clear()
    late = {"name": "a-prefill-0-g2", "bundles": GPU, "mustExist": True}
    assert code_of(cluster, "ensurePlacementGroup", **late) == "PlacementPending"
    assert code_of(cluster, "ensureProxy", **{**PROXY, "name": "a-proxy-g2"}, mustExist=True) == "ClusterChanged"
    assert cluster.calls == []


def test_an_older_generation_is_refused() -> None:
    cluster = FakeCluster()
    call(cluster, "ensurePlacementGroup", name="a-prefill-0-g2", bundles=GPU)
    assert code_of(cluster, "ensurePlacementGroup", name="a-prefill-0-g1", bundles=GPU) == "StaleGeneration"
    assert code_of(cluster, "ensureReplica", name="a-prefill-0-g1", **REPLICA) == "StaleGeneration"


def test_a_replica_waits_for_its_group() -> None:
    cluster = FakeCluster()
    assert code_of(cluster, "ensureReplica", name="a-prefill-0-g1", **REPLICA) == "PlacementPending"
    cluster.full = True
    call(cluster, "ensurePlacementGroup", name="a-prefill-0-g1", bundles=GPU)
    assert code_of(cluster, "ensureReplica", name="a-prefill-0-g1", **REPLICA) == "PlacementPending"
    assert cluster.actors == {}


def test_a_replica_is_created_once() -> None:
    cluster = FakeCluster()
    call(cluster, "ensurePlacementGroup", name="a-prefill-0-g1", bundles=GPU)
    for _ in range(2):
        assert call(cluster, "ensureReplica", name="a-prefill-0-g1", **REPLICA)["state"] == "idle"
    assert cluster.calls.count("create_replica a-prefill-0-g1") == 1


def test_a_replica_that_got_no_ports_is_an_error_with_its_own_words() -> None:
    cluster = FakeCluster()
    call(cluster, "ensurePlacementGroup", name="a-prefill-0-g1", bundles=GPU)
    cluster.actors["a-prefill-0-g1"] = {"status": {"state": "exited", "logTail": "no ports"}}
    with pytest.raises(AgentError, match=r"^no ports$") as caught:
        call(cluster, "ensureReplica", name="a-prefill-0-g1", **REPLICA)
    assert caught.value.code == "EngineNotStarted"


def test_an_actors_own_error_keeps_its_code() -> None:
    cluster = FakeCluster()
    cluster.actors["a-prefill-0-g1"] = {"start_engine": {"error": {"code": "EngineNotStarted", "message": "no"}}}
    args: Json = {"argv": [], "env": {}, "cwd": "/", "specHash": "x", "probe": {}}
    assert code_of(cluster, "startEngine", name="a-prefill-0-g1", **args) == "EngineNotStarted"


def test_files_are_written_before_the_engine_starts_and_only_when_there_are_any() -> None:
    cluster = FakeCluster()
    ready = {"state": "idle"}
    cluster.actors["a-prefill-0-g1"] = {"prepare": ready, "start_engine": {"state": "starting"}}
    args: Json = {"argv": [], "env": {}, "cwd": "/", "specHash": "x", "probe": {}}
    call(cluster, "startEngine", name="a-prefill-0-g1", **args)
    call(cluster, "startEngine", name="a-prefill-0-g1", **args, files=[], emptied=[])
    assert cluster.calls == ["start_engine a-prefill-0-g1"] * 2
    call(cluster, "startEngine", name="a-prefill-0-g1", **args, emptied=["a"])
    assert cluster.calls[2:] == ["prepare a-prefill-0-g1", "start_engine a-prefill-0-g1"]
    cluster.actors["a-prefill-0-g1"]["prepare"] = {"error": {"code": "EngineNotStarted", "message": "no"}}
    assert code_of(cluster, "startEngine", name="a-prefill-0-g1", **args, emptied=["a"]) == "EngineNotStarted"
    assert cluster.calls[4:] == ["prepare a-prefill-0-g1"]


def test_stopping_what_is_absent_is_success() -> None:
    cluster = FakeCluster()
    assert call(cluster, "stopReplica", name="a-prefill-0-g1", graceS=1) == {"stopped": False}
    assert call(cluster, "stopProxy", name="a-proxy-g1", graceS=1) == {"stopped": False}
    assert call(cluster, "removePlacementGroup", name="a-prefill-0-g1") == {"removed": False}
    assert call(cluster, "replicaStatus", name="a-prefill-0-g1") == {"name": "a-prefill-0-g1", "state": "absent"}


@pytest.mark.parametrize(
    ("actor", "waits"),
    [
        ({"stop": True}, []),
        ({"stop": False}, ["let guards end"]),
        ({"stop": UNKNOWN_METHOD}, ["let guards end"]),
        ({}, ["let guards end"]),
    ],
    ids=["stopped", "tree left", "older actor", "lost"],
)
def test_the_group_of_an_actor_that_did_not_stop_its_engine_goes_once_its_guard_has(
    actor: Json, waits: list[str]
) -> None:
    cluster = FakeCluster()
    call(cluster, "ensurePlacementGroup", name="a-prefill-0-g1", bundles=GPU)
    cluster.actors["a-prefill-0-g1"] = actor
    cluster.calls.clear()
    call(cluster, "ensurePlacementGroup", name="a-prefill-0-g2", bundles=GPU)
    stops = ["stop a-prefill-0-g1", "kill a-prefill-0-g1", *waits]
    assert cluster.calls[: len(stops) + 1] == [*stops, "remove_group a-prefill-0-g1"]


def test_list_renews_every_lease_of_its_job_to_what_it_is_told_and_0_turns_it_off() -> None:
    names = ["a-prefill-0-g1", "a-decode-0-g1", "a-decode-0-g1-r1", "a-proxy-g1", "b-prefill-0-g1"]
    cluster = FakeCluster({"actors": {name: {"status": {"name": name}} for name in names}})
    call(cluster, "list", job="a")
    assert cluster.leases == {}
    call(cluster, "list", job="a", leaseS=60)
    assert cluster.leases == {name: 60 for name in names[:4]}
    call(cluster, "list", job="a", leaseS=0)
    assert cluster.leases == {name: 0 for name in names[:4]}


def test_list_shows_an_actor_that_does_not_answer_as_lost_and_the_others_as_they_are() -> None:
    cluster = FakeCluster()
    cluster.actors["a-decode-1-g3"] = {}
    cluster.actors["a-decode-0-g1"] = {"status": {"name": "a-decode-0-g1", "state": "healthy"}}
    cluster.actors["a-proxy-g2"] = {}
    cluster.actors["a-b-decode-0-g1"] = {"status": {"name": "another job"}}
    listed = call(cluster, "list", job="a")
    assert listed["replicas"] == [
        {"name": "a-decode-1-g3", "role": "decode", "index": 1, "generation": 3, "state": "lost"},
        {"name": "a-decode-0-g1", "state": "healthy"},
    ]
    assert listed["proxies"] == [{"name": "a-proxy-g2", "generation": 2, "state": "lost"}]


def test_what_a_newer_generation_replaces_gets_the_grace_that_was_asked_for() -> None:
    cluster = FakeCluster()
    call(cluster, "ensurePlacementGroup", name="a-prefill-0-g1", bundles=GPU)
    call(cluster, "ensureReplica", name="a-prefill-0-g1", **REPLICA)
    call(cluster, "ensureProxy", **PROXY)
    call(cluster, "ensurePlacementGroup", name="a-prefill-0-g2", bundles=GPU, graceS=30)
    call(cluster, "ensureProxy", **{**PROXY, "name": "a-proxy-g2"}, graceS=40)
    call(cluster, "ensureProxy", **{**PROXY, "name": "a-proxy-g3"})
    assert cluster.graces == {"a-prefill-0-g1": 30, "a-proxy-g1": 40, "a-proxy-g2": SHORT_GRACE_S}


def test_several_leftovers_stop_side_by_side() -> None:
    cluster = FakeCluster()
    for generation in (1, 2):
        cluster.create_replica(f"a-prefill-0-g{generation}", {})
        cluster.create_replica(f"a-prefill-0-g{generation}-r1", {})
    call(cluster, "ensurePlacementGroup", name="a-prefill-0-g3", bundles=GPU)
    assert cluster.together == [
        ["a-prefill-0-g1", "a-prefill-0-g2"],
        ["a-prefill-0-g1-r1", "a-prefill-0-g2-r1"],
    ]
    cluster.together.clear()
    for role in ("prefill", "decode"):
        cluster.create_replica(f"a-{role}-0-g9", {})
        cluster.create_replica(f"a-{role}-0-g9-r1", {})
    cluster.create_proxy("a-proxy-g9", 0, None)
    call(cluster, "sweep", job="a", dryRun=False)
    assert cluster.together == [
        ["a-prefill-0-g9", "a-decode-0-g9", "a-proxy-g9"],
        ["a-prefill-0-g9-r1", "a-decode-0-g9-r1"],
    ]


def test_a_name_that_is_none_is_refused() -> None:
    assert code_of(FakeCluster(), "ensurePlacementGroup", name="x", bundles=[]) == "BadRequest"
    assert code_of(FakeCluster(), "ensureProxy", name="a-prefill-0-g1") == "BadRequest"


def test_an_actor_of_an_earlier_version_is_no_reason_to_wait_for_ever() -> None:
    cluster = FakeCluster()
    cluster.actors["a-decode-0-g1"] = {"canary": UNKNOWN_METHOD, "load": UNKNOWN_METHOD, "prepare": UNKNOWN_METHOD}
    cluster.actors["a-proxy-g1"] = {"hand_on": UNKNOWN_METHOD, "stop": True}
    note = "the decode engine's actor was started by an earlier version and sends none"
    assert call(cluster, "canary", name="a-decode-0-g1", timeoutS=1) == {"passed": True, "note": note}
    assert call(cluster, "engineLoad", name="a-decode-0-g1") == {"name": "a-decode-0-g1", "requests": None}
    call(cluster, "ensureProxy", **{**PROXY, "name": "a-proxy-g2", "builtin": True})
    assert cluster.together == [["a-proxy-g1"]]
    with pytest.raises(AgentError, match="does not know prepare"):
        call(cluster, "startEngine", name="a-decode-0-g1", cwd="/", files=[{"path": "x", "text": ""}])
