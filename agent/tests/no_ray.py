"""Stands in for the few things that the actors ask Ray, so that they can be tested as ordinary objects."""

import types
from typing import Any

import pytest

NODE_ID = "node-1"
NODE_IP = "127.0.0.1"


class Context:
    # Files that came with the actor: none.
    runtime_env: dict[str, str] = {}  # noqa: RUF012

    def get_node_id(self) -> str:
        return NODE_ID

    def get_accelerator_ids(self) -> dict[str, list[str]]:
        return {}


FAKE = types.SimpleNamespace(
    util=types.SimpleNamespace(get_node_ip_address=lambda: NODE_IP),
    get_runtime_context=Context,
)


def without_ray(monkeypatch: pytest.MonkeyPatch, actor: type) -> None:
    """
    Where the actor's functions look, rather than in their modules: once the class was unpickled in this process, as a
    driver of Ray does, its functions have globals of their own.
    """
    seen: set[int] = set()

    def patch(function: types.FunctionType) -> None:
        names: dict[str, Any] = function.__globals__
        if id(names) in seen:
            return
        seen.add(id(names))
        if "ray" in names:
            monkeypatch.setitem(names, "ray", FAKE)
        for value in list(names.values()):
            if isinstance(value, types.FunctionType) and value.__module__.startswith("pdjob_agent.node"):
                patch(value)

    for value in vars(actor).values():
        if isinstance(value, types.FunctionType):
            patch(value)
