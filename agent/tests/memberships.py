"""Members as the orchestrator tells of them."""

from typing import Any

from pdjob_agent.node.membership import Told


def member(name: str) -> dict[str, str]:
    return {"name": name, "role": "decode", "url": f"http://10.0.0.1:{name}"}


def membership(generation: int, *given: str) -> dict[str, Any]:
    return {"generation": generation, "members": [member(name) for name in given]}


def known(told: Told) -> list[str]:
    return [one["name"] for one in told.acknowledged()["members"]]
