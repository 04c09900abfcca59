"""Taking things away: one actor, a replica with all its ranks, older generations, everything of a job."""

import os
import re

from .cluster import Cluster, Json
from .errors import AgentError
from .names import Name, parse, parse_replica

JOB = re.compile(r"[a-z0-9][a-z0-9-]*\Z")

# Grace of what a newer generation replaces, and of ranks whose rank 0 has ended: they have nothing left to finish.
SHORT_GRACE_S = 5.0
# Beyond the grace: SIGKILL and reaping.
STOP_MARGIN_S = 15.0
# Of an older proxy's actor, for where its listening socket is to be had. To stop one that serves cuts its streams, so
# that a busy head node has longer than it takes to answer whether it lives; past it the actor hangs.
HAND_ON_TIMEOUT_S = 15.0
# Of all nodes together, to remove the files of a job: there may be many of them.
CLEAR_TIMEOUT_S = 60.0
# Nodes that are asked for such files.
NODES_MAX = 200


def stop_proxy(cluster: Cluster, args: Json) -> Json:
    names = [full for full in cluster.actor_names() if full == args["name"]]
    stop_actors(cluster, names, args["graceS"])
    return {"stopped": bool(names)}


def stop_replica(cluster: Cluster, args: Json) -> Json:
    """Every rank, whichever of them a crash left behind."""
    wanted = replica_name(args["name"])
    names = [name for name in map(parse, cluster.actor_names()) if name and name.whole == wanted.whole]
    stop_wholes(cluster, names, args["graceS"])
    return {"stopped": bool(names)}


def fence_proxy(cluster: Cluster, wanted: Name, args: Json) -> list[str]:
    """
    An older built-in proxy goes on beside the newer one, when its actor hands on the socket that both listen on: where
    to get it is the answer. Whoever asked for the newer one stops it. Everything else goes first, as a replica does.
    """
    names = [name for name in map(parse, cluster.actor_names()) if name and name.base == wanted.base]
    asked = [name.full for name in older(names, wanted)] if args["builtin"] else []
    answers = cluster.ask_all(asked, "hand_on", [], HAND_ON_TIMEOUT_S) if asked else {}
    sockets = {name: answer["socket"] for name, answer in answers.items() if answer and "socket" in answer}
    fence(cluster, wanted, args, spared=frozenset(sockets))
    return list(sockets.values())


def fence(cluster: Cluster, wanted: Name, args: Json, spared: frozenset[str] = frozenset()) -> None:
    """Older generations of the same replica or proxy go first; a newer one makes this request a mistake."""
    actors = [name for name in map(parse, cluster.actor_names()) if name and name.base == wanted.base]
    groups = [parse_replica(one["name"]) for one in cluster.groups()]
    placed = [name for name in groups if name and name.base == wanted.base]
    newer = max((name.generation for name in actors + placed), default=0)
    if newer > wanted.generation:
        text = f"{wanted.full} was asked for, but generation {newer} exists already."
        raise AgentError("StaleGeneration", text)
    gone = [name for name in older(actors, wanted) if name.full not in spared]
    stop_wholes(cluster, gone, args.get("graceS", SHORT_GRACE_S))
    cluster.remove_groups(*[name.full for name in older(placed, wanted)])


def older(names: list[Name], wanted: Name) -> list[Name]:
    return [name for name in names if name.generation < wanted.generation]


def sweep(cluster: Cluster, args: Json) -> Json:
    """Actors and groups are looked up apart: a crash can leave either without the other."""
    actors = [name for name in map(parse, cluster.actor_names()) if name and name.job == args["job"]]
    groups = [one["name"] for one in cluster.groups() if belongs(one["name"], args["job"])]
    if not args["dryRun"]:
        stop_wholes(cluster, actors, SHORT_GRACE_S)
        cluster.remove_groups(*groups)
    removed = [{"kind": "actor", "name": name.full} for name in actors]
    removed += [{"kind": "placementGroup", "name": full} for full in groups]
    folders, silent = sweep_kv(cluster, args)
    removed += [{"kind": "kvFolder", "name": folder} for folder in folders]
    return {"removed": removed, **({"silentNodes": silent} if silent else {})}


def sweep_kv(cluster: Cluster, args: Json) -> tuple[list[str], list[str]]:
    """
    Once nothing runs any more that writes there. A folder that the user has named for the KV is the user's own. Second:
    addresses of the nodes that did not say what they hold, and may hold it still.
    """
    job, places = args["job"], args.get("workingDirs", [])
    if not places:
        return [], []
    if not JOB.match(job) or not all(os.path.isabs(place) for place in places):
        raise AgentError("BadRequest", f"{job!r} in {places} is no job's folder.")
    folders = [os.path.join(place, ".pdjob", "kv", job) for place in places]
    ips = {one["id"]: one["ip"] for one in cluster.nodes() if one["alive"]}
    answers = cluster.clear_kv(list(ips)[:NODES_MAX], folders, args["dryRun"], CLEAR_TIMEOUT_S)
    for node_id, answer in answers.items():
        for folder, problem in answer.items():
            if problem:
                raise AgentError("BadRequest", f"{folder} is left on node {node_id}: {problem}. Remove it there.")
    found = [folder for folder in folders if any(folder in answer for answer in answers.values())]
    return found, [ip for node_id, ip in ips.items() if node_id not in answers]


def stop_wholes(cluster: Cluster, names: list[Name], grace_s: float) -> None:
    """Proxies and replicas side by side. Rank 0 before its followers: while it finishes its requests it needs them."""
    stop_actors(cluster, [name.full for name in names if name.rank == 0], grace_s)
    stop_actors(cluster, [name.full for name in names if name.rank > 0], min(grace_s, SHORT_GRACE_S))


def stop_actors(cluster: Cluster, names: list[str], grace_s: float) -> None:
    """
    At once, so that many take no longer than one. A lost actor is killed all the same, and its guard given the time to
    end the engine: who asked takes its GPUs to be free now.
    """
    if names:
        answers = cluster.ask_all(names, "stop", [grace_s], grace_s + STOP_MARGIN_S)
        cluster.kill(*names)
        if any(answers.get(name) is not True for name in names):
            cluster.let_guards_end()


def replica_name(full: str) -> Name:
    name = parse_replica(full)
    if name is None:
        raise AgentError("BadRequest", f"{full!r} is no replica's name (JOB-ROLE-INDEX-gN).")
    return name


def belongs(full: str, job: str) -> bool:
    name = parse(full)
    return name is not None and name.job == job
