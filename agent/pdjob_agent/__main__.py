"""``python -m pdjob_agent --address HOST:PORT``: see docs/agent-protocol.md."""

from .protocol import Writer, claim_stdout, serve

# Before anything that may import Ray.
WRITER = Writer(claim_stdout())

import argparse  # noqa: E402
import os  # noqa: E402
import socket  # noqa: E402
import sys  # noqa: E402
import threading  # noqa: E402
import time  # noqa: E402
from typing import Any  # noqa: E402

from .errors import AgentError  # noqa: E402

START_TIMEOUT_S = 30.0
CONNECT_TIMEOUT_S = 5.0
# The driver itself notices a dead GCS only after a minute; until then its calls hang.
GCS_CHECK_S = 2.0
GCS_FAILURES_MAX = 3


def main() -> int:
    parser = argparse.ArgumentParser(prog="pdjob_agent", description="Speaks to Ray on behalf of pdjob.")
    parser.add_argument("--address", required=True, help="HOST:PORT of the Ray cluster's GCS")
    parser.add_argument("--namespace", default="pdjob")
    options = parser.parse_args()
    deadline = threading.Timer(START_TIMEOUT_S, give_up, [options.address])
    deadline.daemon = True
    deadline.start()
    try:
        cluster = join(options.address, options.namespace)
    except AgentError as error:
        WRITER.write({"fatal": error.as_json()})
        return 1
    deadline.cancel()
    WRITER.write({"hello": cluster.hello()})
    threading.Thread(target=watch_gcs, args=[options.address], daemon=True).start()
    serve(sys.stdin.buffer, WRITER, lambda verb, args: perform(cluster, verb, args))
    os._exit(0)  # Ray's own shutdown can hang, and names in Ray are all the state there is.


def perform(cluster: Any, verb: str, args: dict[str, Any]) -> dict[str, Any]:
    from .verbs import VERBS  # noqa: PLC0415

    if verb not in VERBS:
        raise AgentError("BadRequest", f"unknown verb {verb!r}; known: {', '.join(VERBS)}")
    return VERBS[verb](cluster, args)


def join(address: str, namespace: str) -> Any:
    """Ray waits long and says little about an address that nobody answers, so that is checked first."""
    if not gcs_answers(address):
        text = (
            f"Nothing answers at the Ray address {address}. Is the cluster up, and is this its GCS (ray start --head)?"
        )
        raise AgentError("RayUnreachable", text)
    try:
        from .ray_cluster import RayCluster  # noqa: PLC0415
    except ImportError as error:
        text = f"{sys.executable} cannot import Ray ({error}). Install the cluster's Ray version there."
        raise AgentError("SpecInvalid", text) from error
    try:
        return RayCluster(address, namespace)
    except Exception as error:
        raise explain(error, address) from error


def explain(error: Exception, address: str) -> AgentError:
    text = str(error)
    if "uthenticat" in text or "oken" in text:
        return AgentError(
            "AuthDenied",
            f"The Ray cluster at {address} refused us: set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN_PATH. ({text[:300]})",
        )
    if "ersion mismatch" in text:
        return AgentError(
            "SpecInvalid",
            f"The Ray cluster at {address} runs another version of Ray or Python: {text[:300]}",
        )
    hint = "If it uses token authentication, check RAY_AUTH_MODE and RAY_AUTH_TOKEN_PATH."
    return AgentError("RayUnreachable", f"Joining the Ray cluster at {address} failed: {text[:300]}. {hint}")


def gcs_answers(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=CONNECT_TIMEOUT_S).close()
    except (OSError, ValueError):
        return False
    return True


def watch_gcs(address: str) -> None:
    failures = 0
    while failures < GCS_FAILURES_MAX:
        time.sleep(GCS_CHECK_S)
        failures = 0 if gcs_answers(address) else failures + 1
    sys.stderr.write(f"the Ray address {address} does not answer any more: leaving\n")
    os._exit(3)


def give_up(address: str) -> None:
    text = f"Joining the Ray cluster at {address} took longer than {START_TIMEOUT_S:.0f} s."
    WRITER.write({"fatal": AgentError("RayUnreachable", text).as_json()})
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
