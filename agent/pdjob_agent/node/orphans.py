# pyright: basic, reportPrivateImportUsage=false
"""What a lapse takes along besides its own actor: groups of the job that no actor is in, which no lease covers."""

import re
from typing import Any

import ray
from ray.util.placement_group import PlacementGroup, placement_group_table, remove_placement_group

PRESENT_STATES = {"PENDING", "PREPARED", "CREATED", "RESCHEDULING"}


def group_handle(row: dict[str, Any]) -> PlacementGroup:
    return PlacementGroup(ray.PlacementGroupID(bytes.fromhex(row["placement_group_id"])))


def remove_unused_groups(job: str) -> None:
    """
    Left by actors that died, or reserved by an orchestrator that went away before it started any. A group with an actor
    is that actor's to give back: it may be watched, and only ours be out of reach.
    """
    used = {re.sub(r"-r\d+$", "", name) for name in ray.util.list_named_actors()}
    own = re.compile(rf"{re.escape(job)}-(?:prefill|decode)-\d+-g\d+")
    for row in placement_group_table().values():
        if row["state"] in PRESENT_STATES and own.fullmatch(row["name"] or "") and row["name"] not in used:
            remove_placement_group(group_handle(row))


def job_of(actor: str) -> str:
    """`JOB-ROLE-INDEX-gN`, `…-rK` or `JOB-proxy-gN`, read from the end."""
    return re.sub(r"-(?:(?:prefill|decode)-\d+|proxy)-g\d+(?:-r\d+)?$", "", actor)
