"""A cluster in memory, for tests of the verbs."""

from typing import Any

from pdjob_agent.node.kv_folder import clear_kv

Json = dict[str, Any]


class FakeCluster:
    """Groups are placed at once unless `full`; actors answer with what `actors` holds for them.

    `given`: how it stands to begin with, as the cases of test/fixtures/agent-protocol say.
    """

    def __init__(self, given: Json | None = None) -> None:
        given = given or {}
        self.placed: dict[str, Json] = {group["name"]: group for group in given.get("groups", [])}
        self.actors: dict[str, dict[str, Any]] = dict(given.get("actors", {}))
        self.calls: list[str] = []
        self.strategies: dict[str, str] = {}
        self.graces: dict[str, float] = {}
        # How long an answer was waited for, by method.
        self.patience: dict[str, float] = {}
        # What proxies' actors were told to start.
        self.started: dict[str, Json] = {}
        # What leases were renewed to, by actor.
        self.leases: dict[str, float] = {}
        # Actors that were told to stop in one breath.
        self.together: list[list[str]] = []
        self.full: bool = given.get("full", False)
        self.packages: dict[str, bytes] = {one: b"" for one in given.get("packages", [])}
        self._hello: Json = given.get("hello", {"session": "s1"})
        self._nodes: list[Json] = given.get("nodes", [])
        self._logs: dict[str, Json] = given.get("logs", {})
        self._looks: dict[str, Json] = given.get("looks", {})
        self._silent: list[str] = given.get("silent", [])
        self._commands: dict[str, Json] = given.get("commands", {})
        self._status_of_new: Json = given.get("statusOfNew", {"state": "idle"})

    def hello(self) -> Json:
        return self._hello

    def nodes(self) -> list[Json]:
        return self._nodes

    def probe_engine(self, node_id: str, args: Json) -> Json:
        self.calls.append(f"probe_engine {node_id} {args['argv']}")
        return self._commands[node_id]

    def groups(self) -> list[Json]:
        return list(self.placed.values())

    def create_group(self, name: str, bundles: list[Json], strategy: str) -> None:
        self.calls.append(f"create_group {name}")
        self.strategies[name] = strategy
        state = "PENDING" if self.full else "CREATED"
        reason = "NO_RESOURCES" if self.full else None
        ips = [] if self.full else [f"10.0.0.{index + 1}" for index in range(len(bundles))]
        self.placed[name] = {
            "name": name,
            "state": state,
            "schedulingState": reason,
            "nodeIps": ips,
            "bundles": bundles,
        }

    def remove_groups(self, *names: str) -> None:
        self.calls.extend(f"remove_group {name}" for name in names if self.placed.pop(name, None))

    def actor_names(self) -> list[str]:
        return list(self.actors)

    def create_replica(self, name: str, args: Json) -> None:
        self.calls.append(f"create_replica {name}")
        self.actors[name] = {"status": {"name": name, **self._status_of_new}, "stop": True}

    def create_proxy(self, name: str, lease_s: float, package: str | None) -> None:
        self.calls.append(f"create_proxy {name}")
        self.actors[name] = {"start": {"name": name, "state": "healthy"}, "stop": True}

    def ask(self, name: str, method: str, args: list[Any], timeout_s: float) -> Any | None:
        return self.ask_all([name], method, args, timeout_s).get(name)

    def ask_all(self, names: list[str], method: str, args: list[Any], timeout_s: float) -> dict[str, Any | None]:
        self.calls.extend(f"{method} {name}" for name in names)
        self.patience[method] = timeout_s
        if method == "status":
            self.leases |= {name: args[0] for name in names if args}
        if method == "start":
            self.started |= {name: args[0] for name in names}
        if method == "stop":
            self.together.append(names)
            for name in names:
                self.graces[name] = args[0]
        return {name: self.actors[name].get(method) for name in names if name in self.actors}

    def has_package(self, package: str) -> bool:
        return package in self.packages

    def put_package(self, package: str, content: bytes) -> None:
        self.calls.append(f"put_package {package}")
        self.packages[package] = content

    def read_left_logs(
        self, node_ids: list[str], path: str, offset: int | None, max_bytes: int, timeout_s: float
    ) -> dict[str, Json]:
        self.calls.extend(f"read {path} on {node_id}" for node_id in node_ids)
        return {node_id: self._logs[node_id] for node_id in node_ids if node_id in self._logs}

    def clear_kv(self, node_ids: list[str], folders: list[str], dry_run: bool, timeout_s: float) -> dict[str, Json]:
        """All nodes share this machine's disk."""
        found = {node_id: clear_kv(folders, True) for node_id in node_ids if node_id not in self._silent}
        return found if dry_run else {node_id: {**one, **clear_kv(folders, False)} for node_id, one in found.items()}

    def look_at_node(self, node_id: str, port: int, timeout_s: float) -> Json | None:
        self.calls.append(f"look at port {port} on {node_id}")
        return self._looks.get(node_id)

    def kill(self, *names: str) -> None:
        self.calls.extend(f"kill {name}" for name in names)
        for name in names:
            self.actors.pop(name, None)

    def let_guards_end(self) -> None:
        self.calls.append("let guards end")
