"""What the verbs need of a cluster. `ray_cluster.RayCluster` is the real one; tests bring a fake."""

from typing import Any, Protocol

Json = dict[str, Any]

# What an actor that an earlier version of ours has started answers to a method that it does not have.
UNKNOWN_METHOD: Json = {"unknownMethod": True}


class Cluster(Protocol):
    """Every call is bounded in time and raises AgentError. An actor that does not answer in time is None."""

    def hello(self) -> Json: ...

    def nodes(self) -> list[Json]: ...

    def probe_engine(self, node_id: str, args: Json) -> Json:
        """What the engine's command says of its version on that node: {code, output, error?}."""
        ...

    def groups(self) -> list[Json]:
        """Every placement group that is not removed: {name, state, schedulingState?, nodeIps, bundles}."""
        ...

    def create_group(self, name: str, bundles: list[Json], strategy: str) -> None:
        """`strategy` is one of Ray's. No error when somebody else was faster."""
        ...

    def remove_groups(self, *names: str) -> None:
        """Returns when they are gone."""
        ...

    def actor_names(self) -> list[str]: ...

    def create_replica(self, name: str, args: Json) -> None:
        """In bundle `args["bundle"]` (0 by default) of group `args["placementGroup"]`,
        with the files of `args["package"]`, if any, as its folder. No error when it exists."""
        ...

    def create_proxy(self, name: str, lease_s: float, package: str | None) -> None:
        """On the head node. No error when it exists."""
        ...

    def ask(self, name: str, method: str, args: list[Any], timeout_s: float) -> Any | None:
        """The answer of an actor's method, or UNKNOWN_METHOD. None: it does not exist or does not answer in time."""
        ...

    def ask_all(self, names: list[str], method: str, args: list[Any], timeout_s: float) -> dict[str, Any | None]:
        """The same of many at once, within one timeout. Actors that are gone are left out."""
        ...

    def has_package(self, package: str) -> bool:
        """Does Ray have it? Then it also stays for a while, until an actor holds it."""
        ...

    def put_package(self, package: str, content: bytes) -> None: ...

    def read_left_logs(
        self, node_ids: list[str], path: str, offset: int | None, max_bytes: int, timeout_s: float
    ) -> dict[str, Json]:
        """By node: a piece of that file there with `writtenAtS`, or nothing in it when there is none.

        A node that does not answer in time is left out.
        """
        ...

    def clear_kv(self, node_ids: list[str], folders: list[str], dry_run: bool, timeout_s: float) -> dict[str, Json]:
        """What `node/kv_folder.py` says, by node; one that does not answer in time is left out."""
        ...

    def look_at_node(self, node_id: str, port: int, timeout_s: float) -> Json | None:
        """What `node/looking.py` says there; None when the node does not answer in time."""
        ...

    def kill(self, *names: str) -> None:
        """Returns when the names are free."""
        ...

    def let_guards_end(self) -> None:
        """Returns when the guards of actors that are gone have ended what they own, on nodes that live."""
        ...
