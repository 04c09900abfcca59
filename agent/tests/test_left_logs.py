import pytest

from pdjob_agent.errors import AgentError
from pdjob_agent.verbs import VERBS

from .fake_cluster import FakeCluster, Json

NODES: list[Json] = [
    {"id": "a", "ip": "10.0.0.1", "alive": True},
    {"id": "b", "ip": "10.0.0.2", "alive": True},
    {"id": "c", "ip": "10.0.0.3", "alive": False},
]
PATH = "/w/.pdjob/logs/demo-prefill-0-g1.log"


def left(text: str, written_at: float) -> Json:
    return {"text": text, "offset": len(text), "size": len(text), "writtenAtS": written_at}


def read(logs: dict[str, Json], **args: object) -> Json:
    asked: Json = {"name": "demo-prefill-0-g1", "workingDir": "/w", "maxBytes": 100, **args}
    return VERBS["logFile"](FakeCluster({"nodes": NODES, "logs": logs}), asked)


def error_of(logs: dict[str, Json], **args: object) -> tuple[str, str]:
    with pytest.raises(AgentError) as caught:
        read(logs, **args)
    return caught.value.code, caught.value.message


def test_the_host_that_is_named_is_asked_alone() -> None:
    logs = {"a": left("old", 1), "b": left("new", 2)}
    assert read(logs, host="10.0.0.1") == {"text": "old", "offset": 3, "size": 3, "host": "10.0.0.1", "path": PATH}


def test_without_a_host_the_file_that_was_written_last_is_it() -> None:
    logs: dict[str, Json] = {"a": left("old", 1), "b": left("new", 2)}
    assert read(logs)["text"] == "new"
    assert read({**logs, "b": {}})["host"] == "10.0.0.1"


def test_a_host_that_is_gone_is_said_to_be() -> None:
    code, message = error_of({}, host="10.0.0.3")
    assert (code, message) == (
        "LogNotFound",
        "demo-prefill-0-g1 ran on 10.0.0.3, which is no node of the cluster any more. "
        f"Its log, {PATH}, is there as long as the machine keeps it.",
    )


def test_a_file_that_is_nowhere_and_a_node_that_does_not_answer_are_named() -> None:
    rest = "The oldest logs of a replica are removed."
    head = f"There is no log of demo-prefill-0-g1: no file {PATH} on"
    assert error_of({"a": {}, "b": {}}) == ("LogNotFound", f"{head} any of 2 nodes. {rest}")
    assert error_of({"a": {}}) == (
        "LogNotFound",
        f"{head} any of 2 nodes. 10.0.0.2 did not answer within 20 s. {rest}",
    )
    assert error_of({"a": {}}, host="10.0.0.1") == ("LogNotFound", f"{head} 10.0.0.1. {rest}")


@pytest.mark.parametrize("args", [{"name": "../../etc/passwd"}, {"workingDir": "relative"}])
def test_nothing_but_a_log_can_be_read(args: Json) -> None:
    assert error_of({}, **args)[0] == "BadRequest"
