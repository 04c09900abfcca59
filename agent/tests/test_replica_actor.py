"""The replica's actor without Ray: what it answers when it cannot do its work."""

import resource
from pathlib import Path
from typing import Any

import pytest

from pdjob_agent.node.ports import FIRST_PORT, LAST_PORT, HeldPorts
from pdjob_agent.node.replica_actor import ReplicaActor

from .no_ray import NODE_ID, NODE_IP, without_ray

IDENTITY: dict[str, Any] = {"role": "prefill", "index": 0, "generation": 1}


@pytest.fixture(autouse=True)
def no_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    without_ray(monkeypatch, ReplicaActor)


def actor(ports: list[dict[str, Any]]) -> ReplicaActor:
    return ReplicaActor("a-prefill-0-g1", IDENTITY, ports, 0, "raise SystemExit")


def test_an_actor_without_ports_shows_itself_as_a_replica_that_ended_and_says_why() -> None:
    span = LAST_PORT - FIRST_PORT + 2
    status = actor([{"name": "x", "span": span}]).status()
    assert status == {
        "name": "a-prefill-0-g1",
        **IDENTITY,
        "state": "exited",
        "nodeId": NODE_ID,
        "logTail": f"a-prefill-0-g1 cannot start on {NODE_IP}: it asks for {span} contiguous ports (x), "
        f"and there are {LAST_PORT - FIRST_PORT + 1} in {FIRST_PORT}-{LAST_PORT}.",
    }


def test_an_engine_is_not_started_without_ports() -> None:
    one = actor([{"name": "x", "span": 99_999}])
    answer = one.start_engine(["true"], {}, "/tmp", {"specHash": "s"}, {})
    assert answer["error"]["code"] == "EngineNotStarted"
    assert "99999 contiguous ports" in answer["error"]["message"]
    assert one.stop(1)


def test_a_working_directory_that_cannot_be_made_is_named_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    one, cwd = actor([]), str(tmp_path / "file" / "job")
    for answer in (
        one.prepare(cwd, [{"path": ".pdjob/x", "text": ""}], []),
        one.start_engine(["true"], {}, cwd, {"specHash": "s"}, {}),
    ):
        assert answer["error"]["code"] == "EngineNotStarted"
        message = answer["error"]["message"]
        assert message.startswith(
            f"The engine of a-prefill-0-g1 cannot be started on {NODE_IP}: the working directory {cwd}"
        )
        assert message.endswith(". Give `working_dir` a folder that every node can make and write.")


def test_a_limit_on_open_files_is_named_with_its_numbers_and_holds_nothing() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, before[1]))
    try:
        with pytest.raises(OSError, match=r"1024 ports \(x\).*256 open files.*ulimit -n.*1280"):
            HeldPorts([{"name": "x", "span": 1024}])
        assert HeldPorts([{"name": "x", "span": 8}]).ports["x"] >= FIRST_PORT
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
