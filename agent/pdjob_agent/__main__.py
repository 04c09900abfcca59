"""``python -m pdjob_agent --address HOST:PORT``: see docs/agent-protocol.md."""

from .protocol import Writer, claim_stdout, serve

# Before anything that may import Ray.
WRITER = Writer(claim_stdout())

import argparse  # noqa: E402
import os  # noqa: E402
import sys  # noqa: E402
import threading  # noqa: E402
import time  # noqa: E402
from typing import Any  # noqa: E402

from .errors import AgentError  # noqa: E402
from .joining import LEFT, gcs_answers, hold, join, leave_if_refused, leave_with_raylet  # noqa: E402
from .verbs import READS, VERBS  # noqa: E402

START_TIMEOUT_S = 30.0
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
        held = hold(cluster.raylet_socket())
    except AgentError as error:
        WRITER.write({"fatal": error.as_json()})
        return 1
    deadline.cancel()
    WRITER.write({"hello": cluster.hello()})
    threading.Thread(target=watch_gcs, args=[options.address], daemon=True).start()
    threading.Thread(target=leave_with_raylet, args=[held], daemon=True).start()
    serve(sys.stdin.buffer, WRITER, lambda verb, args: perform(cluster, verb, args, options.address), READS)
    # At once, whatever still runs: Ray's own shutdown can hang, names in Ray are all the state there is, and what we
    # would still do without an orchestrator might undo what its successor does.
    os._exit(0)


def perform(cluster: Any, verb: str, args: dict[str, Any], address: str) -> dict[str, Any]:
    if verb not in VERBS:
        raise AgentError("BadRequest", f"unknown verb {verb!r}; known: {', '.join(VERBS)}")
    try:
        return VERBS[verb](cluster, args)
    except AgentError:
        raise
    except Exception as error:
        leave_if_refused(error, address)
        raise


def watch_gcs(address: str) -> None:
    failures = 0
    while failures < GCS_FAILURES_MAX:
        time.sleep(GCS_CHECK_S)
        failures = 0 if gcs_answers(address) else failures + 1
    sys.stderr.write(f"the Ray address {address} does not answer any more: leaving\n")
    os._exit(LEFT)


def give_up(address: str) -> None:
    text = f"Joining the Ray cluster at {address} took longer than {START_TIMEOUT_S:.0f} s."
    WRITER.write({"fatal": AgentError("RayUnreachable", text).as_json()})
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
