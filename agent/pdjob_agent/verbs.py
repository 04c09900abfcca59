"""The verbs of docs/agent-protocol.md. Each is idempotent: names in Ray are the only state."""

import time
from collections.abc import Callable
from typing import Any

from .cluster import Cluster, Json
from .errors import AgentError
from .names import Name, parse, parse_proxy, parse_replica

# A hung node must not hold up the answer about all the others.
STATUS_TIMEOUT_S = 2.0
# A new actor's process takes about a second to start, more on a busy node.
FIRST_ANSWER_TIMEOUT_S = 25.0
# Grace of what a newer generation replaces.
FENCE_GRACE_S = 5.0
# Beyond the grace: SIGKILL and reaping.
STOP_MARGIN_S = 15.0
PROXY_POLL_S = 0.2


def ping(cluster: Cluster, _args: Json) -> Json:
    return cluster.hello()


def nodes(cluster: Cluster, _args: Json) -> Json:
    return {"nodes": cluster.nodes()}


def ensure_placement_group(cluster: Cluster, args: Json) -> Json:
    name = replica_name(args["name"])
    bundles = [{kind: float(n) for kind, n in bundle.items()} for bundle in args["bundles"]]
    fence(cluster, name)
    if find_group(cluster, name.full) is None:
        cluster.create_group(name.full, bundles)
    group = find_group(cluster, name.full)
    if group is None:
        raise AgentError("RayUnreachable", f"Placement group {name.full} is not visible yet.")
    if group["bundles"] != bundles:
        text = f"Placement group {name.full} exists with {group['bundles']} instead of {bundles}."
        raise AgentError("StaleGeneration", f"{text} Ask for a new generation.")
    return public(group)


def placement_group_status(cluster: Cluster, args: Json) -> Json:
    group = find_group(cluster, args["name"])
    return public(group) if group else {"name": args["name"], "state": "ABSENT", "nodeIps": []}


def remove_placement_group(cluster: Cluster, args: Json) -> Json:
    if find_group(cluster, args["name"]) is None:
        return {"removed": False}
    cluster.remove_group(args["name"])
    return {"removed": True}


def ensure_replica(cluster: Cluster, args: Json) -> Json:
    name = replica_name(args["name"])
    fence(cluster, name)
    if name.full not in cluster.actor_names():
        group = find_group(cluster, args["placementGroup"])
        # An actor in a group that is not there waits for ever and holds its name meanwhile.
        if group is None or group["state"] != "CREATED":
            state = group["state"] if group else "ABSENT"
            text = f"Placement group {args['placementGroup']} is {state}, so {name.full} cannot start in it."
            raise AgentError("PlacementPending", text)
        cluster.create_replica(name.full, args)
    return answer_of(cluster, name.full, "status", [], FIRST_ANSWER_TIMEOUT_S)


def start_engine(cluster: Cluster, args: Json) -> Json:
    call = [args["argv"], args["env"], args["cwd"], args["specHash"], args["probe"]]
    return answer_of(cluster, args["name"], "start_engine", call, FIRST_ANSWER_TIMEOUT_S)


def replica_status(cluster: Cluster, args: Json) -> Json:
    name = replica_name(args["name"])
    if name.full not in cluster.actor_names():
        return {"name": name.full, "state": "absent"}
    return cluster.ask(name.full, "status", [], STATUS_TIMEOUT_S) or lost_replica(name)


def stop_actor(cluster: Cluster, args: Json) -> Json:
    """`stopReplica` and `stopProxy`: a lost actor is killed all the same."""
    if args["name"] not in cluster.actor_names():
        return {"stopped": False}
    cluster.ask(args["name"], "stop", [args["graceS"]], args["graceS"] + STOP_MARGIN_S)
    cluster.kill(args["name"])
    return {"stopped": True}


def ensure_proxy(cluster: Cluster, args: Json) -> Json:
    name = parse_proxy(args["name"])
    if name is None:
        raise AgentError("BadRequest", f"{args['name']!r} is no proxy's name.")
    fence(cluster, name)
    if name.full not in cluster.actor_names():
        cluster.create_proxy(name.full, args["leaseS"])
    try:
        status = answer_of(cluster, name.full, "start", [args], FIRST_ANSWER_TIMEOUT_S)
    except AgentError as error:
        if error.code == "ProxyNotStarted":
            cluster.kill(name.full)
        raise
    until = time.monotonic() + args["startTimeoutS"]
    while status["state"] == "starting" and time.monotonic() < until:
        time.sleep(PROXY_POLL_S)
        status = answer_of(cluster, name.full, "status", [], FIRST_ANSWER_TIMEOUT_S)
    if status["state"] == "exited":
        # The same words as the planner's, which may see the exit first.
        signal, code = status["exit"]["signal"], status["exit"]["code"]
        how = f"was ended by {signal}" if signal else f"exited with code {code}"
        tail = status.get("logTail")
        raise AgentError("ProxyExited", f"The proxy {how}." + (f" Its last lines:\n{tail}" if tail else ""))
    if status["state"] == "starting":
        log = cluster.ask(name.full, "read_log", [None, 2_000], STATUS_TIMEOUT_S) or {"text": ""}
        text = f"The proxy did not answer on port {args['port']} within {args['startTimeoutS']} s."
        raise AgentError("ProxyTimeout", f"{text} Its last lines:\n{log['text']}".rstrip())
    return status


def set_membership(cluster: Cluster, args: Json) -> Json:
    return answer_of(cluster, args["name"], "set_membership", [args["membership"]], FIRST_ANSWER_TIMEOUT_S)


def list_job(cluster: Cluster, args: Json) -> Json:
    names = [name for name in map(parse, cluster.actor_names()) if name and name.job == args["job"]]
    lease = [args["leaseS"]] if args.get("leaseS") else []
    answers = cluster.ask_all([name.full for name in names], "status", lease, STATUS_TIMEOUT_S)
    present = [name for name in names if name.full in answers]
    return {
        "session": cluster.hello()["session"],
        "placementGroups": [public(one) for one in cluster.groups() if belongs(one["name"], args["job"])],
        "replicas": [answers[n.full] or lost_replica(n) for n in present if n.role is not None],
        "proxies": [answers[n.full] or lost_proxy(n) for n in present if n.role is None],
    }


def jobs(cluster: Cluster, _args: Json) -> Json:
    counts: dict[str, Json] = {}

    def count(name: Name | None, kind: str) -> None:
        if name is not None:
            empty: Json = {"job": name.job, "replicas": 0, "placementGroups": 0, "proxies": 0}
            counts.setdefault(name.job, empty)[kind] += 1

    for full in cluster.actor_names():
        name = parse(full)
        count(name, "replicas" if name and name.role else "proxies")
    for group in cluster.groups():
        count(parse_replica(group["name"]), "placementGroups")
    return {"jobs": [counts[job] for job in sorted(counts)]}


def logs(cluster: Cluster, args: Json) -> Json:
    call = [args.get("offset"), args["maxBytes"]]
    return answer_of(cluster, args["name"], "read_log", call, STATUS_TIMEOUT_S * 3)


def sweep(cluster: Cluster, args: Json) -> Json:
    """Actors and groups are looked up apart: a crash can leave either without the other."""
    actors = [full for full in cluster.actor_names() if belongs(full, args["job"])]
    groups = [one["name"] for one in cluster.groups() if belongs(one["name"], args["job"])]
    if not args["dryRun"]:
        for full in actors:
            stop_actor(cluster, {"name": full, "graceS": FENCE_GRACE_S})
        for full in groups:
            cluster.remove_group(full)
    removed = [{"kind": "actor", "name": full} for full in actors]
    return {"removed": removed + [{"kind": "placementGroup", "name": full} for full in groups]}


VERBS: dict[str, Callable[[Cluster, Json], Json]] = {
    "ping": ping,
    "nodes": nodes,
    "ensurePlacementGroup": ensure_placement_group,
    "placementGroupStatus": placement_group_status,
    "removePlacementGroup": remove_placement_group,
    "ensureReplica": ensure_replica,
    "startEngine": start_engine,
    "replicaStatus": replica_status,
    "stopReplica": stop_actor,
    "ensureProxy": ensure_proxy,
    "setMembership": set_membership,
    "stopProxy": stop_actor,
    "list": list_job,
    "jobs": jobs,
    "logs": logs,
    "sweep": sweep,
}


def fence(cluster: Cluster, wanted: Name) -> None:
    """Older generations of the same replica or proxy go first; a newer one makes this request a mistake."""
    others = [name for name in map(parse, cluster.actor_names()) if name and name.base == wanted.base]
    groups = [parse_replica(one["name"]) for one in cluster.groups()]
    others += [name for name in groups if name and name.base == wanted.base]
    newer = max((name.generation for name in others), default=0)
    if newer > wanted.generation:
        text = f"{wanted.full} was asked for, but generation {newer} exists already."
        raise AgentError("StaleGeneration", text)
    for name in others:
        if name.generation < wanted.generation:
            stop_actor(cluster, {"name": name.full, "graceS": FENCE_GRACE_S})
            cluster.remove_group(name.full)


def answer_of(cluster: Cluster, name: str, method: str, args: list[Any], timeout_s: float) -> Json:
    answer = cluster.ask(name, method, args, timeout_s)
    if answer is None:
        raise AgentError(
            "RayUnreachable",
            f"Actor {name} does not exist or did not answer {method} within {timeout_s:.0f} s.",
        )
    if "error" in answer:
        raise AgentError(answer["error"]["code"], answer["error"]["message"])
    return answer


def replica_name(full: str) -> Name:
    name = parse_replica(full)
    if name is None:
        raise AgentError("BadRequest", f"{full!r} is no replica's name (JOB-ROLE-INDEX-gN).")
    return name


def find_group(cluster: Cluster, name: str) -> Json | None:
    return next((group for group in cluster.groups() if group["name"] == name), None)


def public(group: Json) -> Json:
    return {key: value for key, value in group.items() if key != "bundles" and value is not None}


def belongs(full: str, job: str) -> bool:
    name = parse(full)
    return name is not None and name.job == job


def lost_replica(name: Name) -> Json:
    return {
        "name": name.full,
        "role": name.role,
        "index": name.index,
        "generation": name.generation,
        "state": "lost",
    }


def lost_proxy(name: Name) -> Json:
    return {"name": name.full, "generation": name.generation, "state": "lost"}
