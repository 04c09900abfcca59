"""Asking an actor something that it must answer."""

from typing import Any

from .cluster import UNKNOWN_METHOD, Cluster, Json
from .errors import AgentError, UnknownMethod

# A hung node must not hold up the answer about all the others.
STATUS_TIMEOUT_S = 2.0
# A new actor's process takes about a second to start, more on a busy node.
FIRST_ANSWER_TIMEOUT_S = 25.0


def answer_of(cluster: Cluster, name: str, method: str, args: list[Any], timeout_s: float) -> Json:
    answer = cluster.ask(name, method, args, timeout_s)
    if answer is None:
        raise AgentError(
            "RayUnreachable",
            f"Actor {name} does not exist or did not answer {method} within {timeout_s:.0f} s.",
        )
    if answer == UNKNOWN_METHOD:
        raise UnknownMethod(name, method)
    if "error" in answer:
        raise AgentError(answer["error"]["code"], answer["error"]["message"])
    return answer
