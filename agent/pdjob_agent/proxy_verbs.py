"""The verbs that start the proxy, give it members and let it retire."""

import time

from .answers import FIRST_ANSWER_TIMEOUT_S, STATUS_TIMEOUT_S, answer_of
from .cluster import Cluster, Json
from .errors import AgentError
from .names import parse_proxy
from .node.guarded import exit_in_words
from .removal import fence_proxy

PROXY_POLL_S = 0.05
# A slow proxy is waited for by asking again, so that a caller who no longer wants it is not held.
PROXY_WAIT_S = 5.0
PROXY_LAST_BYTES = 2_000
# The actor asks the proxy for 2 s at most; the rest is for a busy head node.
MEMBERSHIP_TIMEOUT_S = 5.0
# An external proxy may be told by many calls, for which the actor allows itself 20 s and the last one 10 s.
TELLING_TIMEOUT_S = 40.0


def ensure_proxy(cluster: Cluster, args: Json) -> Json:
    name = parse_proxy(args["name"])
    if name is None:
        raise AgentError("BadRequest", f"{args['name']!r} is no proxy's name.")
    if args.get("mustExist") and name.full not in cluster.actor_names():
        next_step = f"Next: pdjob-client status {name.job} --watch tells how it heals."
        raise AgentError("ClusterChanged", f"The proxy's actor {name.full} is gone.\n{next_step}")
    sockets = fence_proxy(cluster, name, args)
    if name.full not in cluster.actor_names():
        cluster.create_proxy(name.full, args["leaseS"], args.get("package"))
    try:
        call = {**args, "sockets": sockets} if args["builtin"] else args
        status = answer_of(cluster, name.full, "start", [call], FIRST_ANSWER_TIMEOUT_S)
    except AgentError as error:
        if error.code == "ProxyNotStarted":
            cluster.kill(name.full)
        raise
    left_s = args["startTimeoutS"] - args.get("elapsedS", 0)
    until = time.monotonic() + min(left_s, PROXY_WAIT_S)
    while status["state"] == "starting" and time.monotonic() < until:
        time.sleep(PROXY_POLL_S)
        status = answer_of(cluster, name.full, "status", [], FIRST_ANSWER_TIMEOUT_S)
    if status["state"] == "exited":
        raise AgentError("ProxyExited", exit_in_words("The proxy", status["exit"], status.get("logTail")))
    if status["state"] == "starting" and left_s <= PROXY_WAIT_S:
        log = cluster.ask(name.full, "read_log", [None, PROXY_LAST_BYTES], STATUS_TIMEOUT_S) or {"text": ""}
        text = f"The proxy did not answer on port {args['port']} within {args['startTimeoutS']} s"
        text += "." if args["builtin"] else ": is `scheduler.port` the one it takes? {PORT} in its command tells it."
        raise AgentError("ProxyTimeout", f"{text} Its last lines:\n{log['text']}".rstrip())
    return status


def set_membership(cluster: Cluster, args: Json) -> Json:
    """Only a proxy that lives and does not answer is worth another try; any other needs a new generation."""
    name, telling = args["name"], args.get("telling")
    call = [args["membership"], *([telling] if telling else [])]
    try:
        return answer_of(cluster, name, "set_membership", call, TELLING_TIMEOUT_S if telling else MEMBERSHIP_TIMEOUT_S)
    except AgentError as error:
        if error.code == "RayUnreachable" and name not in cluster.actor_names():
            text = f"The proxy's actor {name} is gone, and its process with it."
            raise AgentError("ProxyExited", text) from error
        raise


def retire_proxy(cluster: Cluster, args: Json) -> Json:
    name = args["name"]
    if name not in cluster.actor_names():
        return {"retired": False}
    return answer_of(cluster, name, "retire", [], MEMBERSHIP_TIMEOUT_S)
