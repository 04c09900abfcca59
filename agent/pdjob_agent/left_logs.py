"""Logs of engines and proxies whose actor is gone: the file stays on its node."""

import os

from .cluster import Cluster, Json
from .errors import AgentError
from .names import parse
from .node.logs import log_path

# A node that is idle needs a second or two to start the task's process.
READ_TIMEOUT_S = 20.0
# Nodes asked at once when nobody knows where it ran.
NODES_MAX = 200


def log_file(cluster: Cluster, args: Json) -> Json:
    """Only logs can be read: the path is made here, from a name and a folder."""
    name, folder, host = parse(args["name"]), args["workingDir"], args.get("host")
    if name is None or not os.path.isabs(folder):
        raise AgentError("BadRequest", f"{args['name']!r} in {folder!r} is no log of an engine or proxy.")
    path = log_path(folder, name.full)
    alive = {node["id"]: node["ip"] for node in cluster.nodes() if node["alive"]}
    asked = [node_id for node_id, ip in alive.items() if host in (None, ip)][:NODES_MAX]
    if not asked:
        text = f"{name.full} ran on {host}, which is no node of the cluster any more."
        raise AgentError("LogNotFound", f"{text} Its log, {path}, is there as long as the machine keeps it.")
    answers = cluster.read_left_logs(asked, path, args.get("offset"), args["maxBytes"], READ_TIMEOUT_S)
    found = [node_id for node_id in asked if answers.get(node_id)]
    if not found:
        raise AgentError("LogNotFound", nowhere(name.full, path, [alive[one] for one in asked], set(answers), alive))
    # On a shared disk, every node has it. On disks of their own, an earlier job of this name may have left another.
    newest = max(found, key=lambda node_id: answers[node_id]["writtenAtS"])
    piece = answers[newest]
    return {
        "text": piece["text"],
        "offset": piece["offset"],
        "size": piece["size"],
        "host": alive[newest],
        "path": path,
    }


def nowhere(name: str, path: str, hosts: list[str], answered: set[str], alive: dict[str, str]) -> str:
    where = hosts[0] if len(hosts) == 1 else f"any of {len(hosts)} nodes"
    silent = [ip for node_id, ip in alive.items() if ip in hosts and node_id not in answered]
    late = f" {', '.join(silent)} did not answer within {READ_TIMEOUT_S:.0f} s." if silent else ""
    return f"There is no log of {name}: no file {path} on {where}.{late} The oldest logs of a replica are removed."
