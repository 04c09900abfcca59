"""What a node has for a proxy, as a task of the head's sees it."""

import os

from .nodejs import node_problem
from .ports import port_problem


def look_at_node(port: int) -> dict[str, str | None]:
    return {
        "nodeProblem": node_problem(os.environ.get("PATH", "")),
        "portProblem": port_problem("0.0.0.0", port),
    }
