"""Joining a Ray cluster, and saying in our words why that failed."""

import contextlib
import os
import re
import socket
import sys
from typing import Any

from .errors import AgentError

CONNECT_TIMEOUT_S = 5.0
# Exit code of an agent whose cluster is gone: the worker starts another.
LEFT = 3
# What Ray says when it is about the token. A mere "token" is found in other texts too, paths among them.
REFUSAL = re.compile(r"InvalidAuthToken|UNAUTHENTICATED|= Unauthenticated|uthentication token|RAY_AUTH_TOKEN")


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
    if is_refusal(error):
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


def is_refusal(error: Exception) -> bool:
    return type(error).__name__ == "AuthenticationError" or REFUSAL.search(str(error)) is not None


def leave_if_refused(error: Exception, address: str) -> None:
    """Refused after it was let in: another cluster is at that address now, and a driver never joins a second one."""
    if is_refusal(error):
        sys.stderr.write(f"the Ray cluster at {address} is not the one that was joined: leaving\n")
        os._exit(LEFT)


def hold(raylet_socket: str) -> socket.socket:
    """A connection to the raylet that our driver joined by. It says nothing, and ends with that raylet."""
    held = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    held.settimeout(CONNECT_TIMEOUT_S)
    try:
        held.connect(raylet_socket)
    except OSError as error:
        text = f"The raylet of {raylet_socket}, by which this agent joined, has ended at once: {error}."
        raise AgentError("RayUnreachable", text) from error
    held.settimeout(None)
    return held


def leave_with_raylet(held: socket.socket) -> None:
    """Returns never. A driver whose raylet has ended lives on while the GCS does, and is only half there: its tasks
    find no node, and what becomes of actors reaches it late or never. Nothing gives it another raylet but a new start.
    """
    with contextlib.suppress(OSError):
        while held.recv(4096):
            pass
    sys.stderr.write("the raylet by which this agent joined has ended: leaving\n")
    os._exit(LEFT)


def gcs_answers(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=CONNECT_TIMEOUT_S).close()
    except (OSError, ValueError):
        return False
    return True
