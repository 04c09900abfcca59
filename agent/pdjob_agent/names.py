"""Names in Ray, as src/domain/names.ts builds them. They are read from the end: job names may hold dashes."""

import re
from dataclasses import dataclass

REPLICA = re.compile(
    r"^(?P<job>[a-z0-9][a-z0-9-]*)-(?P<role>prefill|decode)-(?P<index>\d+)-g(?P<generation>\d+)(?:-r(?P<rank>[1-9]\d*))?$"
)
PROXY = re.compile(r"^(?P<job>[a-z0-9][a-z0-9-]*)-proxy-g(?P<generation>\d+)$")


@dataclass(frozen=True)
class Name:
    """`base` is the name without its generation and rank: what a newer generation fences."""

    full: str
    job: str
    base: str
    generation: int
    role: str | None = None
    index: int | None = None
    rank: int = 0

    @property
    def whole(self) -> str:
        """The name of all ranks together: of their placement group, and of rank 0."""
        return f"{self.base}-g{self.generation}"


def parse_replica(full: str) -> Name | None:
    match = REPLICA.match(full)
    if not match:
        return None
    job, role, index = match["job"], match["role"], int(match["index"])
    rank = int(match["rank"] or 0)
    return Name(full, job, f"{job}-{role}-{match['index']}", int(match["generation"]), role, index, rank)


def parse_proxy(full: str) -> Name | None:
    match = PROXY.match(full)
    if not match:
        return None
    return Name(full, match["job"], f"{match['job']}-proxy", int(match["generation"]))


def parse(full: str) -> Name | None:
    return parse_replica(full) or parse_proxy(full)
