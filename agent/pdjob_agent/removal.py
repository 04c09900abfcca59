"""Taking things away: one actor, a replica with all its ranks, older generations, everything of a job."""

from .cluster import Cluster, Json
from .errors import AgentError
from .names import Name, parse, parse_replica

# Grace of what a newer generation replaces, and of ranks whose rank 0 has ended: they have nothing left to finish.
SHORT_GRACE_S = 5.0
# Beyond the grace: SIGKILL and reaping.
STOP_MARGIN_S = 15.0


def stop_actor(cluster: Cluster, args: Json) -> Json:
    """A lost actor is killed all the same."""
    if args["name"] not in cluster.actor_names():
        return {"stopped": False}
    cluster.ask(args["name"], "stop", [args["graceS"]], args["graceS"] + STOP_MARGIN_S)
    cluster.kill(args["name"])
    return {"stopped": True}


def stop_replica(cluster: Cluster, args: Json) -> Json:
    """
    Every rank, whichever of them a crash left behind. Rank 0 first: while it finishes its requests it needs the others.
    """
    wanted = replica_name(args["name"])
    names = [name for name in map(parse, cluster.actor_names()) if name and name.whole == wanted.whole]
    if any(name.rank == 0 for name in names):
        stop_actor(cluster, {"name": wanted.whole, "graceS": args["graceS"]})
    followers = [name.full for name in names if name.rank > 0]
    if followers:
        grace_s = min(args["graceS"], SHORT_GRACE_S)
        cluster.ask_all(followers, "stop", [grace_s], grace_s + STOP_MARGIN_S)
    for full in followers:
        cluster.kill(full)
    return {"stopped": bool(names)}


def fence(cluster: Cluster, wanted: Name) -> None:
    """Older generations of the same replica or proxy go first; a newer one makes this request a mistake."""
    others = [name for name in map(parse, cluster.actor_names()) if name and name.base == wanted.base]
    groups = [parse_replica(one["name"]) for one in cluster.groups()]
    others += [name for name in groups if name and name.base == wanted.base]
    newer = max((name.generation for name in others), default=0)
    if newer > wanted.generation:
        text = f"{wanted.full} was asked for, but generation {newer} exists already."
        raise AgentError("StaleGeneration", text)
    older = {name.whole: name for name in others if name.generation < wanted.generation}
    for whole, name in older.items():
        stop = stop_replica if name.role else stop_actor
        stop(cluster, {"name": whole, "graceS": SHORT_GRACE_S})
        cluster.remove_group(whole)


def sweep(cluster: Cluster, args: Json) -> Json:
    """Actors and groups are looked up apart: a crash can leave either without the other."""
    actors = [full for full in cluster.actor_names() if belongs(full, args["job"])]
    groups = [one["name"] for one in cluster.groups() if belongs(one["name"], args["job"])]
    if not args["dryRun"]:
        for full in actors:
            stop_actor(cluster, {"name": full, "graceS": SHORT_GRACE_S})
        for full in groups:
            cluster.remove_group(full)
    removed = [{"kind": "actor", "name": full} for full in actors]
    return {"removed": removed + [{"kind": "placementGroup", "name": full} for full in groups]}


def replica_name(full: str) -> Name:
    name = parse_replica(full)
    if name is None:
        raise AgentError("BadRequest", f"{full!r} is no replica's name (JOB-ROLE-INDEX-gN).")
    return name


def belongs(full: str, job: str) -> bool:
    name = parse(full)
    return name is not None and name.job == job
