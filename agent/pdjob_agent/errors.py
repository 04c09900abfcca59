"""Errors of the protocol. `code` is one of src/domain/errors.ts, or BadRequest."""

RETRYABLE = frozenset({"RayUnreachable", "PlacementPending", "Internal"})
CLUSTER_CHANGED = frozenset({"ClusterChanged"})


class AgentError(Exception):
    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message

    def as_json(self) -> dict[str, str]:
        known = {**dict.fromkeys(RETRYABLE, "retryable"), **dict.fromkeys(CLUSTER_CHANGED, "clusterChanged")}
        kind = known.get(self.code, "fatal")
        return {"class": kind, "code": self.code, "message": self.message}


class UnknownMethod(AgentError):
    """An actor that an earlier version of ours has started does not have what is asked of it."""

    def __init__(self, name: str, method: str) -> None:
        super().__init__(
            "RayUnreachable", f"Actor {name} was started by an earlier version and does not know {method}."
        )
