"""The verbs of docs/agent-protocol.md. Each is idempotent: names in Ray are the only state."""

from collections.abc import Callable

from .answers import FIRST_ANSWER_TIMEOUT_S, STATUS_TIMEOUT_S, answer_of
from .cluster import UNKNOWN_METHOD, Cluster, Json
from .errors import AgentError, UnknownMethod
from .head import check_head
from .left_logs import log_file
from .names import Name, parse, parse_replica
from .proxy_verbs import ensure_proxy, retire_proxy, set_membership
from .removal import belongs, fence, replica_name, stop_proxy, stop_replica, sweep
from .upload import upload

# What an actor needs beyond the time that it allows a canary.
CANARY_MARGIN_S = 5.0


def ping(cluster: Cluster, _args: Json) -> Json:
    return cluster.hello()


def nodes(cluster: Cluster, _args: Json) -> Json:
    return {"nodes": cluster.nodes()}


def probe_engine(cluster: Cluster, args: Json) -> Json:
    return cluster.probe_engine(args["nodeId"], args)


def ensure_placement_group(cluster: Cluster, args: Json) -> Json:
    name = replica_name(args["name"])
    bundles = [{kind: float(n) for kind, n in bundle.items()} for bundle in args["bundles"]]
    # Whoever asks again may not know yet that its job is gone: it must neither make anything nor fence a successor.
    if args.get("mustExist") and find_group(cluster, name.full) is None:
        raise AgentError("PlacementPending", f"Placement group {name.full} is gone.")
    fence(cluster, name, args)
    if find_group(cluster, name.full) is None:
        cluster.create_group(name.full, bundles, args.get("strategy", "STRICT_PACK" if len(bundles) == 1 else "SPREAD"))
    group = find_group(cluster, name.full)
    if group is None:
        raise AgentError("RayUnreachable", f"Placement group {name.full} is not visible yet.")
    if group["bundles"] != bundles:
        text = f"Placement group {name.full} exists with {group['bundles']} instead of {bundles}."
        raise AgentError("StaleGeneration", f"{text} Ask for a new generation.")
    return public(group)


def remove_placement_group(cluster: Cluster, args: Json) -> Json:
    if find_group(cluster, args["name"]) is None:
        return {"removed": False}
    cluster.remove_groups(args["name"])
    return {"removed": True}


def ensure_replica(cluster: Cluster, args: Json) -> Json:
    name = replica_name(args["name"])
    fence(cluster, name, args)
    if name.full not in cluster.actor_names():
        group = find_group(cluster, args["placementGroup"])
        # An actor in a group that is not there waits for ever and holds its name meanwhile.
        if group is None or group["state"] != "CREATED":
            state = group["state"] if group else "ABSENT"
            text = f"Placement group {args['placementGroup']} is {state}, so {name.full} cannot start in it."
            raise AgentError("PlacementPending", text)
        cluster.create_replica(name.full, args)
    status = answer_of(cluster, name.full, "status", [], FIRST_ANSWER_TIMEOUT_S)
    if status["state"] == "exited" and "endpoint" not in status:
        raise AgentError("EngineNotStarted", status["logTail"])
    return status


def start_engine(cluster: Cluster, args: Json) -> Json:
    files, emptied = args.get("files", []), args.get("emptied", [])
    if files or emptied:
        answer_of(cluster, args["name"], "prepare", [args["cwd"], files, emptied], FIRST_ANSWER_TIMEOUT_S)
    tags = {"specHash": args["specHash"], **args.get("labels", {})}
    call = [args["argv"], args["env"], args["cwd"], tags, args.get("probe")]
    return answer_of(cluster, args["name"], "start_engine", call, FIRST_ANSWER_TIMEOUT_S)


def replica_status(cluster: Cluster, args: Json) -> Json:
    name = replica_name(args["name"])
    if name.full not in cluster.actor_names():
        return {"name": name.full, "state": "absent"}
    return cluster.ask(name.full, "status", [], STATUS_TIMEOUT_S) or lost_replica(name)


def engine_load(cluster: Cluster, args: Json) -> Json:
    answer = cluster.ask(args["name"], "load", [], STATUS_TIMEOUT_S)
    return answer if answer and answer != UNKNOWN_METHOD else {"name": args["name"], "requests": None}


def canary(cluster: Cluster, args: Json) -> Json:
    try:
        return answer_of(cluster, args["name"], "canary", [args], args["timeoutS"] + CANARY_MARGIN_S)
    except UnknownMethod:
        # Nothing is known against these engines, and no later try would tell more.
        return {"passed": True, "note": "the decode engine's actor was started by an earlier version and sends none"}


def list_job(cluster: Cluster, args: Json) -> Json:
    names = [name for name in map(parse, cluster.actor_names()) if name and name.job == args["job"]]
    # 0 is told as well: what was started with a lease would otherwise stop one lease after it was turned off.
    lease = [args["leaseS"]] if "leaseS" in args else []
    answers = cluster.ask_all([name.full for name in names], "status", lease, STATUS_TIMEOUT_S)
    present = [name for name in names if name.full in answers]
    groups = cluster.groups()
    return {
        "session": cluster.hello()["session"],
        "placementGroups": [public(one) for one in groups if belongs(one["name"], args["job"])],
        "replicas": [answers[n.full] or lost_replica(n) for n in present if n.role is not None and n.rank == 0],
        "proxies": [answers[n.full] or lost_proxy(n) for n in present if n.role is None],
        "followers": [answers[n.full] or lost_replica(n) for n in present if n.rank > 0],
        **(inventory(cluster, groups, args["job"]) if args.get("nodes") else {}),
    }


def inventory(cluster: Cluster, groups: list[Json], job: str) -> Json:
    """The nodes, and what placement groups of everybody else hold of them."""
    others = [one for one in groups if one["state"] == "CREATED" and not belongs(one["name"], job)]
    return {
        "nodes": cluster.nodes(),
        "groupsOfOthers": [
            {"name": one["name"], **{kind: sum(b.get(kind, 0) for b in one["bundles"]) for kind in ("GPU", "CPU")}}
            for one in others
        ],
    }


def jobs(cluster: Cluster, _args: Json) -> Json:
    counts: dict[str, Json] = {}

    def count(name: Name | None, kind: str) -> None:
        if name is not None:
            empty: Json = {"job": name.job, "replicas": 0, "placementGroups": 0, "proxies": 0}
            counts.setdefault(name.job, empty)[kind] += 1

    # By whole names, so that a gang counts once, whichever of its ranks are left.
    for whole in sorted({name.whole for name in map(parse, cluster.actor_names()) if name}):
        count(parse(whole), "replicas" if parse_replica(whole) else "proxies")
    for group in cluster.groups():
        count(parse_replica(group["name"]), "placementGroups")
    return {"jobs": [counts[job] for job in sorted(counts)]}


def logs(cluster: Cluster, args: Json) -> Json:
    call = [args.get("offset"), args["maxBytes"]]
    return answer_of(cluster, args["name"], "read_log", call, STATUS_TIMEOUT_S * 3)


VERBS: dict[str, Callable[[Cluster, Json], Json]] = {
    "ping": ping,
    "nodes": nodes,
    "probeEngine": probe_engine,
    "ensurePlacementGroup": ensure_placement_group,
    "removePlacementGroup": remove_placement_group,
    "ensureReplica": ensure_replica,
    "startEngine": start_engine,
    "replicaStatus": replica_status,
    "engineLoad": engine_load,
    "canary": canary,
    "stopReplica": stop_replica,
    "ensureProxy": ensure_proxy,
    "setMembership": set_membership,
    "retireProxy": retire_proxy,
    "stopProxy": stop_proxy,
    "list": list_job,
    "jobs": jobs,
    "logs": logs,
    "logFile": log_file,
    "checkHead": check_head,
    "upload": upload,
    "sweep": sweep,
}

# Verbs that change nothing but leases, and end soon.
READS = frozenset({"ping", "nodes", "replicaStatus", "engineLoad", "list", "jobs", "logs", "logFile", "checkHead"})


def find_group(cluster: Cluster, name: str) -> Json | None:
    return next((group for group in cluster.groups() if group["name"] == name), None)


def public(group: Json) -> Json:
    return {key: value for key, value in group.items() if value is not None}


def lost_replica(name: Name) -> Json:
    rank = {"rank": name.rank} if name.rank > 0 else {}
    identity = {"role": name.role, "index": name.index, "generation": name.generation, **rank}
    return {"name": name.full, **identity, "state": "lost"}


def lost_proxy(name: Name) -> Json:
    return {"name": name.full, "generation": name.generation, "state": "lost"}
