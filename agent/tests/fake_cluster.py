"""A cluster in memory, for tests of the verbs."""

from typing import Any

Json = dict[str, Any]


class FakeCluster:
    """Groups are placed at once unless `full`; actors answer with what `answers` holds for them."""

    def __init__(self) -> None:
        self.placed: dict[str, Json] = {}
        self.actors: dict[str, dict[str, Any]] = {}
        self.calls: list[str] = []
        self.full = False

    def hello(self) -> Json:
        return {"protocol": 1, "rayVersion": "2", "pythonVersion": "3", "session": "s1", "nodeIp": "10.0.0.1"}

    def nodes(self) -> list[Json]:
        return []

    def groups(self) -> list[Json]:
        return list(self.placed.values())

    def create_group(self, name: str, bundles: list[Json]) -> None:
        self.calls.append(f"create_group {name}")
        state = "PENDING" if self.full else "CREATED"
        reason = "NO_RESOURCES" if self.full else None
        ips = [] if self.full else ["10.0.0.1"]
        self.placed[name] = {
            "name": name,
            "state": state,
            "schedulingState": reason,
            "nodeIps": ips,
            "bundles": bundles,
        }

    def remove_group(self, name: str) -> None:
        if self.placed.pop(name, None):
            self.calls.append(f"remove_group {name}")

    def actor_names(self) -> list[str]:
        return list(self.actors)

    def create_replica(self, name: str, args: Json) -> None:
        self.calls.append(f"create_replica {name}")
        self.actors[name] = {"status": {"name": name, "state": "idle"}, "stop": True}

    def create_proxy(self, name: str, lease_s: float) -> None:
        self.calls.append(f"create_proxy {name}")
        self.actors[name] = {"start": {"name": name, "state": "healthy"}, "stop": True}

    def ask(self, name: str, method: str, args: list[Any], timeout_s: float) -> Any | None:
        return self.ask_all([name], method, args, timeout_s).get(name)

    def ask_all(self, names: list[str], method: str, args: list[Any], timeout_s: float) -> dict[str, Any | None]:
        self.calls.extend(f"{method} {name}" for name in names)
        return {name: self.actors[name].get(method) for name in names if name in self.actors}

    def kill(self, name: str) -> None:
        self.calls.append(f"kill {name}")
        self.actors.pop(name, None)
