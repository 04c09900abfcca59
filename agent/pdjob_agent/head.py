"""What the proxy will find on the head node, looked up before there is a proxy."""

from .cluster import Cluster, Json
from .errors import AgentError

# A node that is idle needs a second or two to start the task's process.
LOOK_TIMEOUT_S = 20.0


def check_head(cluster: Cluster, args: Json) -> Json:
    head = next((node for node in cluster.nodes() if node["isHead"] and node["alive"]), None)
    if head is None:
        raise AgentError("RayUnreachable", "The cluster has no head node that is alive.")
    found = cluster.look_at_node(head["id"], args["port"], LOOK_TIMEOUT_S)
    if found is None:
        raise AgentError("RayUnreachable", f"The head node {head['ip']} ran no task within {LOOK_TIMEOUT_S:.0f} s.")
    return {"ip": head["ip"], **{what: why for what, why in found.items() if why is not None}}
