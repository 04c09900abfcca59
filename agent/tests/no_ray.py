"""Stands in for the few things that the actors ask Ray, so that they can be tested as ordinary objects."""

import types
from types import ModuleType

import pytest

NODE_ID = "node-1"
NODE_IP = "127.0.0.1"


class Context:
    def get_node_id(self) -> str:
        return NODE_ID

    def get_accelerator_ids(self) -> dict[str, list[str]]:
        return {}


def without_ray(monkeypatch: pytest.MonkeyPatch, *modules: ModuleType) -> None:
    util = types.SimpleNamespace(get_node_ip_address=lambda: NODE_IP)
    for module in modules:
        monkeypatch.setattr(module, "ray", types.SimpleNamespace(util=util, get_runtime_context=Context))
