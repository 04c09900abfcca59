import pytest

from pdjob_agent import proxy_verbs
from pdjob_agent.answers import STATUS_TIMEOUT_S
from pdjob_agent.errors import AgentError

from .asking import PROXY, call, code_of
from .fake_cluster import FakeCluster, Json


@pytest.mark.parametrize(
    ("status", "code", "text"),
    [
        ({"state": "exited", "exit": {"code": 3, "signal": None}, "logTail": "boom"}, "ProxyExited", "code 3"),
        ({"state": "exited", "exit": {"code": None, "signal": "SIGKILL"}}, "ProxyExited", "SIGKILL"),
        ({"state": "starting"}, "ProxyTimeout", "port 1 within 0.05 s"),
        ({"error": {"code": "ProxyNotStarted", "message": "no node"}}, "ProxyNotStarted", "no node"),
    ],
)
def test_a_proxy_that_does_not_come_up(status: Json, code: str, text: str) -> None:
    cluster = FakeCluster()
    cluster.actors["a-proxy-g1"] = {"start": status, "status": status, "read_log": {"text": "tail"}}
    with pytest.raises(AgentError, match=text) as caught:
        call(cluster, "ensureProxy", **PROXY)
    assert caught.value.code == code
    # One that never started leaves no actor behind; one with a process is the planner's to stop.
    assert ("a-proxy-g1" in cluster.actors) == (code != "ProxyNotStarted")


def test_an_older_built_in_proxy_that_hands_on_its_socket_goes_on_and_any_other_goes_first() -> None:
    cluster = FakeCluster()
    cluster.actors["a-proxy-g1"] = {"hand_on": {"socket": "one"}, "stop": True}
    cluster.actors["a-proxy-g2"] = {"hand_on": {}, "stop": True}
    cluster.actors["a-proxy-g3"] = {"hand_on": None, "stop": True}
    call(cluster, "ensureProxy", **{**PROXY, "name": "a-proxy-g4", "builtin": True})
    assert sorted(cluster.actors) == ["a-proxy-g1", "a-proxy-g4"]
    assert cluster.together == [["a-proxy-g2", "a-proxy-g3"]]
    assert cluster.started["a-proxy-g4"]["sockets"] == ["one"]
    # A busy head node is no reason to cut the streams of a proxy that serves.
    assert cluster.patience["hand_on"] >= 5 * STATUS_TIMEOUT_S


def test_an_external_proxy_takes_over_from_nobody() -> None:
    cluster = FakeCluster()
    cluster.actors["a-proxy-g1"] = {"hand_on": {"socket": "one"}, "stop": True}
    call(cluster, "ensureProxy", **{**PROXY, "name": "a-proxy-g2"})
    assert sorted(cluster.actors) == ["a-proxy-g2"]
    assert "sockets" not in cluster.started["a-proxy-g2"]


def test_a_newer_proxy_is_fenced_from_whoever_asks_for_an_older_one_built_in_or_not() -> None:
    cluster = FakeCluster()
    cluster.actors["a-proxy-g2"] = {"hand_on": {"socket": "one"}}
    assert code_of(cluster, "ensureProxy", **{**PROXY, "builtin": True}) == "StaleGeneration"


def test_members_for_a_proxy_whose_actor_is_gone_are_a_failure_for_good() -> None:
    cluster = FakeCluster()
    with pytest.raises(AgentError, match=r"^The proxy's actor a-proxy-g1 is gone") as caught:
        call(cluster, "setMembership", name="a-proxy-g1", membership={})
    assert caught.value.as_json()["class"] == "fatal"
    assert caught.value.code == "ProxyExited"


def test_members_for_a_proxy_that_lives_and_does_not_answer_may_be_tried_again() -> None:
    cluster = FakeCluster()
    cluster.actors["a-proxy-g1"] = {}
    with pytest.raises(AgentError) as caught:
        call(cluster, "setMembership", name="a-proxy-g1", membership={})
    assert caught.value.as_json()["class"] == "retryable"


def test_a_proxy_that_needs_longer_is_shown_starting_so_that_its_caller_can_give_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(proxy_verbs, "PROXY_WAIT_S", 0.05)
    cluster = FakeCluster()
    cluster.actors["a-proxy-g1"] = {"start": {"state": "starting"}, "status": {"state": "starting"}}
    patient: Json = {**PROXY, "startTimeoutS": 600}
    assert call(cluster, "ensureProxy", **patient) == {"state": "starting"}
    assert call(cluster, "ensureProxy", **patient, elapsedS=590) == {"state": "starting"}
    with pytest.raises(AgentError, match=r"within 600 s") as caught:
        call(cluster, "ensureProxy", **patient, elapsedS=600)
    assert caught.value.code == "ProxyTimeout"
