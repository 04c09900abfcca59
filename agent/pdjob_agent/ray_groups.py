# pyright: basic, reportPrivateImportUsage=false
"""The placement groups of a Ray cluster: what is there, made and removed by name."""

import contextlib
import time
from typing import Any

import ray
from ray.exceptions import RayError
from ray.util.placement_group import placement_group, placement_group_table, remove_placement_group

from .cluster import Json
from .errors import AgentError
from .node.orphans import PRESENT_STATES, group_handle

POLL_S = 0.05


def present_rows() -> list[Json]:
    return [row for row in placement_group_table().values() if row["state"] in PRESENT_STATES and row["name"]]


def present_groups() -> list[Json]:
    ips = {one["NodeID"]: one["NodeManagerAddress"] for one in ray.nodes()}
    return [group_row(row, ips) for row in present_rows()]


def handle_of_created(name: str) -> Any:
    """AgentError PlacementPending when no such group has its resources."""
    row = next((one for one in present_rows() if one["name"] == name and one["state"] == "CREATED"), None)
    if row is None:
        raise AgentError("PlacementPending", f"Placement group {name} is not there any more.")
    return group_handle(row)


def create_group(name: str, bundles: list[Json], strategy: str) -> None:
    try:
        placement_group(bundles, strategy=strategy, name=name, lifetime="detached")
    except RayError as error:
        if "already exists" not in str(error):
            raise AgentError("RayUnreachable", f"Ray refused placement group {name}: {error}") from error


def remove_groups(names: tuple[str, ...], timeout_s: float) -> None:
    """Returns when Ray has none of them any more."""
    until = time.monotonic() + timeout_s
    while time.monotonic() < until:
        rows = [row for row in present_rows() if row["name"] in names]
        if not rows:
            return
        for row in rows:
            with contextlib.suppress(ValueError, RayError):
                remove_placement_group(group_handle(row))
        time.sleep(POLL_S)
    raise AgentError(
        "RayUnreachable",
        f"Of placement groups {', '.join(names)} some are still there {timeout_s:.0f} s after their removal.",
    )


def group_row(row: Json, ips: dict[str, str]) -> Json:
    created = row["state"] == "CREATED"
    places = row.get("bundles_to_node_id", {})
    return {
        "name": row["name"],
        # Between being placed and being committed it is not ours to use yet.
        "state": "PENDING" if row["state"] == "PREPARED" else row["state"],
        "schedulingState": None if created else row.get("stats", {}).get("scheduling_state"),
        "nodeIps": [ips.get(places[index], "") for index in sorted(places)] if created else [],
        "bundles": [row["bundles"][index] for index in sorted(row["bundles"])],
    }
