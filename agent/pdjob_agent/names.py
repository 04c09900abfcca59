"""Names in Ray, as src/domain/names.ts builds them. They are read from the end: job names may hold dashes."""

import re
from dataclasses import dataclass

REPLICA = re.compile(r"^(?P<job>[a-z0-9][a-z0-9-]*)-(?P<role>prefill|decode)-(?P<index>\d+)-g(?P<generation>\d+)$")
PROXY = re.compile(r"^(?P<job>[a-z0-9][a-z0-9-]*)-proxy-g(?P<generation>\d+)$")


@dataclass(frozen=True)
class Name:
    """`base` is the name without its generation: what a newer generation fences."""

    full: str
    job: str
    base: str
    generation: int
    role: str | None = None
    index: int | None = None


def parse_replica(full: str) -> Name | None:
    match = REPLICA.match(full)
    if not match:
        return None
    generation = int(match["generation"])
    base = full.removesuffix(f"-g{generation}")
    return Name(full, match["job"], base, generation, match["role"], int(match["index"]))


def parse_proxy(full: str) -> Name | None:
    match = PROXY.match(full)
    if not match:
        return None
    generation = int(match["generation"])
    return Name(full, match["job"], full.removesuffix(f"-g{generation}"), generation)


def parse(full: str) -> Name | None:
    return parse_replica(full) or parse_proxy(full)
