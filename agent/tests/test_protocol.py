import json
import os
import pickle
import subprocess
import sys
import threading
from typing import Any

import pytest

from pdjob_agent import joining, protocol
from pdjob_agent.errors import AgentError
from pdjob_agent.joining import explain, leave_if_refused
from pdjob_agent.verbs import READS, VERBS

from .conversation import Conversation, talk

AGENT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
ENV = {**os.environ, "PYTHONPATH": AGENT}


def echo(verb: str, args: dict[str, Any]) -> dict[str, Any]:
    return {"verb": verb, **args}


def test_requests_are_answered_under_their_ids() -> None:
    answers = talk(['{"id":1,"verb":"a","args":{"x":1}}', '{"id":2,"verb":"b"}'], echo)
    assert sorted(answers, key=lambda one: one["id"]) == [
        {"id": 1, "ok": True, "result": {"verb": "a", "x": 1}},
        {"id": 2, "ok": True, "result": {"verb": "b"}},
    ]


def test_what_is_no_request_is_refused_and_the_rest_goes_on() -> None:
    lines = ["{", "[]", '{"id":"x","verb":"a"}', '{"id":1}', '{"id":3,"verb":"ok"}']
    answers = talk(lines, echo)
    refused = [one for one in answers if not one["ok"]]
    assert [one["error"]["code"] for one in refused] == ["BadRequest"] * 4
    assert [one["id"] for one in answers if one["ok"]] == [3]


def test_a_slow_request_does_not_hold_up_a_fast_one() -> None:
    release = threading.Event()

    def handle(verb: str, args: dict[str, Any]) -> dict[str, Any]:
        if verb == "slow":
            assert release.wait(5)
        else:
            release.set()
        return {}

    answers = talk(['{"id":1,"verb":"slow"}', '{"id":2,"verb":"fast"}'], handle)
    assert {one["id"]: one["ok"] for one in answers} == {1: True, 2: True}


def test_reads_are_answered_however_many_stops_are_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "ACTIONS_MAX", 2)
    release = threading.Event()

    def handle(verb: str, args: dict[str, Any]) -> dict[str, Any]:
        if verb == "stopReplica":
            assert release.wait(5)
        return {}

    conversation = Conversation(handle, frozenset({"list"}))
    conversation.say(*[json.dumps({"id": n, "verb": "stopReplica"}) for n in range(3)], '{"id":9,"verb":"list"}')
    assert conversation.hear()["id"] == 9
    release.set()
    assert {conversation.hear()["id"] for _ in range(3)} == {0, 1, 2}
    conversation.hang_up()


def test_what_still_waits_when_the_orchestrator_is_gone_is_never_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "ACTIONS_MAX", 1)
    begun: list[str] = []
    busy, release = threading.Event(), threading.Event()

    def handle(verb: str, args: dict[str, Any]) -> dict[str, Any]:
        begun.append(verb)
        busy.set()
        assert release.wait(5)
        return {}

    conversation = Conversation(handle)
    conversation.say('{"id":1,"verb":"first"}', '{"id":2,"verb":"second"}')
    assert busy.wait(5)
    conversation.hang_up()  # Does not wait for what runs either: nobody will hear its answer.
    release.set()
    assert conversation.hear()["id"] == 1
    assert begun == ["first"]


def test_every_verb_that_changes_nothing_counts_as_a_read() -> None:
    changing = {"ensurePlacementGroup", "removePlacementGroup", "ensureReplica", "startEngine", "stopReplica"}
    changing |= {"ensureProxy", "setMembership", "retireProxy", "stopProxy", "sweep", "upload"}
    # These change nothing either, but take their time, and reads must never queue.
    assert set(VERBS) - READS == changing | {"probeEngine", "canary"}
    assert set(VERBS) >= READS


def test_errors_carry_class_and_code() -> None:
    def handle(verb: str, args: dict[str, Any]) -> dict[str, Any]:
        raise AgentError(verb, "why")

    codes = ["RayUnreachable", "PlacementPending", "StaleGeneration", "ClusterChanged"]
    answers = talk([json.dumps({"id": n, "verb": code}) for n, code in enumerate(codes)], handle)
    classes = {one["error"]["code"]: one["error"]["class"] for one in answers}
    assert list(map(classes.get, codes)) == ["retryable", "retryable", "fatal", "clusterChanged"]


def test_an_unexpected_error_tells_where_but_never_what_it_was_given() -> None:
    def handle(verb: str, args: dict[str, Any]) -> dict[str, Any]:
        raise ValueError(f"bad {args['token']}")

    [answer] = talk(['{"id":1,"verb":"v","args":{"token":"hf_secret"}}'], handle)
    assert answer["error"]["code"] == "Internal"
    assert "ValueError at test_protocol.py" in answer["error"]["message"]
    assert "hf_secret" not in json.dumps(answer)


def test_a_missing_argument_is_named() -> None:
    def handle(verb: str, args: dict[str, Any]) -> dict[str, Any]:
        return {"x": args["name"]}

    [answer] = talk(['{"id":1,"verb":"v"}'], handle)
    assert answer["error"] == {"class": "fatal", "code": "BadRequest", "message": "v: argument 'name' is missing"}


def test_a_missing_key_of_something_else_is_no_fault_of_the_caller() -> None:
    def handle(verb: str, args: dict[str, Any]) -> dict[str, Any]:
        return {"x": {"pid": 1}[args["key"]]}

    [answer] = talk(['{"id":1,"verb":"v","args":{"key":"port"}}'], handle)
    assert (answer["error"]["class"], answer["error"]["code"]) == ("retryable", "Internal")
    assert "KeyError at test_protocol.py" in answer["error"]["message"]


def test_arguments_travel_to_the_nodes_as_what_they_are_there(monkeypatch: pytest.MonkeyPatch) -> None:
    def handle(verb: str, args: dict[str, Any]) -> dict[str, Any]:
        return {"kind": type(pickle.loads(pickle.dumps(args))).__name__}

    assert talk(['{"id":1,"verb":"v","args":{"a":1}}'], handle)[0]["result"] == {"kind": "dict"}


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ("InvalidAuthToken: Authentication token is missing or incorrect", "AuthDenied"),
        ("Token authentication is enabled but Ray couldn't find an authentication token.", "AuthDenied"),
        ("RAY_AUTH_TOKEN_PATH is set but file cannot be opened or is empty: /x", "AuthDenied"),
        ("rpc error: code = Unauthenticated", "AuthDenied"),
        ("Expected to have broken pipe: the connection is broken", "RayUnreachable"),
        ("Could not read /home/tokens/ray_current_cluster", "RayUnreachable"),
        ("Version mismatch: The cluster was started with Ray 2.9", "SpecInvalid"),
    ],
)
def test_what_ray_says_when_it_does_not_let_us_join(said: str, code: str) -> None:
    assert explain(RuntimeError(said), "10.0.0.1:6379").code == code


def test_prints_and_children_cannot_disturb_the_protocol() -> None:
    program = (
        "from pdjob_agent.protocol import Writer, claim_stdout\n"
        "import os, subprocess\n"
        "writer = Writer(claim_stdout())\n"
        "print('noise'); os.write(1, b'raw noise'); subprocess.run(['echo', 'child'])\n"
        "writer.write({'id': 1})\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=ENV, check=True)
    assert done.stdout == '{"id":1}\n'
    assert "noise" in done.stderr and "child" in done.stderr


def test_an_address_that_nobody_answers_is_said_at_once() -> None:
    command = [sys.executable, "-m", "pdjob_agent", "--address", "127.0.0.1:1"]
    done = subprocess.run(command, capture_output=True, text=True, env=ENV, timeout=20, check=False)
    fatal = json.loads(done.stdout)["fatal"]
    assert (done.returncode, fatal["class"], fatal["code"]) == (1, "retryable", "RayUnreachable")
    assert "127.0.0.1:1" in fatal["message"]


class AuthenticationError(Exception):
    """As Ray calls it, which is not imported here."""


def test_an_agent_that_its_cluster_does_not_know_any_more_leaves(monkeypatch: pytest.MonkeyPatch) -> None:
    left: list[int] = []
    monkeypatch.setattr(joining.os, "_exit", left.append)
    leave_if_refused(ValueError("a placement group that is gone"), "10.0.0.1:6379")
    assert left == []
    leave_if_refused(AuthenticationError("InvalidClusterID"), "10.0.0.1:6379")
    assert left == [3]
