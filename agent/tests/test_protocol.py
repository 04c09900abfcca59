import io
import json
import os
import subprocess
import sys
import threading
from typing import Any

from pdjob_agent.errors import AgentError
from pdjob_agent.protocol import Handler, Writer, serve

AGENT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
ENV = {**os.environ, "PYTHONPATH": AGENT}


def talk(lines: list[str], handle: Handler) -> list[dict[str, Any]]:
    """What is answered to these lines, in the order of the answers."""
    read_end, write_end = os.pipe()
    serve(io.BytesIO("".join(line + "\n" for line in lines).encode()), Writer(write_end), handle)
    os.close(write_end)
    with os.fdopen(read_end, "rb") as answers:
        return [json.loads(line) for line in answers]


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
