"""
When an engine hangs although its API server answers: a decision on looks at its metrics.

vLLM's API server lives apart from the engine core. When the core is stopped, or waits for a kernel that never returns,
/health stays 200, and /metrics shows for ever what the core told last: no request at all, if it had none then. So
standing still is only a suspicion, and an idle engine looks the same. What tells them apart is a request for one token.
Where none may be sent, the engine's own word has to do that requests run or wait, and that takes longer.

Nothing is held against an engine that tells no metrics, has made no token yet (it may be compiling), sleeps, or whose
requests all wait for KV from elsewhere.
"""

import hashlib
import re
from dataclasses import dataclass, replace

# How many times `stall` an engine must stand still, by its own word with requests, where it cannot be asked.
UNASKED_TIMES = 4

REQUESTS = re.compile(r"^vllm:num_requests_(?:running|waiting)(?:\{.*\})? ([0-9.eE+]+)$", re.MULTILINE)
DEFERRED = re.compile(r'^vllm:num_requests_waiting_by_reason\{.*reason="deferred".*\} ([0-9.eE+]+)$', re.MULTILINE)
GENERATED = re.compile(r"^vllm:generation_tokens_total(?:\{.*\})? ([0-9.eE+]+)$", re.MULTILINE)
AWAKE = re.compile(r'^vllm:engine_sleep_state\{.*sleep_state="awake".*\} ([0-9.eE+]+)$', re.MULTILINE)


@dataclass(frozen=True)
class Look:
    """What metrics tell at one moment."""

    # Of everything that the engine core counts: it differs when anything moved.
    counted: str
    # Requests that the core could work at.
    busy: bool
    # It has made a token before, and does not sleep.
    able: bool


@dataclass(frozen=True)
class Memory:
    """Between two looks. `asked_s`: since its request for a token is open; None while none is."""

    look: Look | None = None
    quiet_s: float = 0
    asked_s: float | None = None
    refused: bool = False
    hangs: bool = False


@dataclass(frozen=True)
class Rule:
    stall_s: float
    # Whether a request may be sent: it ends engines of some connectors, and a job may want none of ours.
    may_ask: bool


def look_at(metrics: str) -> Look | None:
    """None when these are no metrics of vLLM's. What its API server counts has other names (http_, process_)."""
    lines = sorted(line for line in metrics.splitlines() if line.startswith("vllm:"))
    if not lines:
        return None
    awake = AWAKE.findall(metrics)
    return Look(
        counted=hashlib.sha256("\n".join(lines).encode()).hexdigest(),
        busy=total(REQUESTS, metrics) > total(DEFERRED, metrics),
        able=total(GENERATED, metrics) > 0 and (not awake or sum(map(float, awake)) > 0),
    )


def total(pattern: re.Pattern[str], metrics: str) -> float:
    """There is one of each for every data-parallel rank."""
    return sum(float(count) for count in pattern.findall(metrics))


def judge(memory: Memory, look: Look | None, passed_s: float, answer: str | None, rule: Rule) -> tuple[Memory, bool]:
    """
    What to remember, and whether to ask for a token now. `answer` is what became of the last one since the last look:
    answered · refused (by the API server, so it says nothing of the core) · late (given up) · None = nothing yet.
    """
    if look is None:
        return memory, False  # It may be busy; a server that answers nobody is found by /health.
    moved = memory.look is None or look.counted != memory.look.counted or answer == "answered"
    if moved or not look.able:
        return Memory(look), False
    now = replace(
        memory,
        look=look,
        quiet_s=memory.quiet_s + passed_s,
        asked_s=None if memory.asked_s is None or answer == "late" else memory.asked_s + passed_s,
        refused=memory.refused or answer == "refused",
    )
    if now.hangs or now.quiet_s < rule.stall_s:
        return now, False
    if not rule.may_ask or now.refused:
        return replace(now, hangs=look.busy and now.quiet_s >= UNASKED_TIMES * rule.stall_s), False
    if now.asked_s is None:
        return replace(now, asked_s=0), True
    return replace(now, hangs=now.asked_s >= rule.stall_s), False
