"""Watches whether an engine's core gets on: looks at its metrics, and sends it a request when the decision says so."""

import threading
import time
from collections.abc import Callable
from typing import Any

from .engine_http import Engine, Failed, Unasked
from .load import metrics_of
from .stall import Memory, Rule, judge, look_at

# Looks within `stall`, and the shortest and longest time between two.
LOOKS = 10
LOOK_MIN_S = 0.2
LOOK_MAX_S = 5.0
# Shorter than any block of KV: no connector finds a part of it elsewhere. And more than one token, which ends an engine
# with ExampleConnector (docs/real-engines.md).
PROMPT = "1 2 3"

# What became of a request that was given that many seconds: answered, refused or late.
Ask = Callable[[float], str]


class Progress:
    """`stalled_s` is None while there is nothing to be said against the engine; then how long its core stood still."""

    def __init__(self, metrics: Callable[[], str | None], stall_s: float, ask: Ask | None) -> None:
        self.stalled_s: int | None = None
        self._metrics = metrics
        self._ask = ask
        self._stall_s = stall_s
        self._look_s = min(LOOK_MAX_S, max(LOOK_MIN_S, stall_s / LOOKS))
        self._answer: str | None = None
        self._asking: threading.Thread | None = None
        self._stopped = threading.Event()
        threading.Thread(target=self._run, daemon=True).start()

    def stop(self) -> None:
        self._stopped.set()

    def _run(self) -> None:
        memory, rule = Memory(), Rule(self._stall_s, may_ask=self._ask is not None)
        looked_at = time.monotonic()
        while not self._stopped.wait(self._look_s):
            text = self._metrics()
            now = time.monotonic()
            # Whoever was suspended himself has not seen the engine stand still meanwhile.
            passed_s = min(now - looked_at, 2 * self._look_s)
            looked_at = now
            look = look_at(text) if text is not None else None
            # What came of a request waits for a look that can judge it.
            answer = self._taken() if look is not None else None
            memory, is_to_ask = judge(memory, look, passed_s, answer, rule)
            if not memory.hangs:
                self.stalled_s = None
            elif self.stalled_s is None:
                self.stalled_s = round(memory.quiet_s)
            if is_to_ask:
                self._send()

    def _taken(self) -> str | None:
        answer = self._answer
        if answer is not None:  # Or one that comes at this very moment would be wiped out.
            self._answer = None
        return answer

    def _send(self) -> None:
        """One that is open still will do: it waits like another would."""
        if self._ask is None or (self._asking is not None and self._asking.is_alive()):
            return
        self._asking = threading.Thread(target=self._wait_for, args=(self._ask,), daemon=True)
        self._asking.start()

    def _wait_for(self, ask: Ask) -> None:
        # Longer than it takes to judge it, so that it is not over by then.
        self._answer = ask(2 * self._stall_s + LOOK_MAX_S)


def watch_progress(role: str, host: str, port: int, stall: dict[str, Any]) -> Progress:
    """`stall`: `{afterS, ask?: {model?, key?}}`; without `ask` no request is sent."""
    asked = stall.get("ask")

    def ask(for_s: float) -> str:
        return one_token(role, host, port, asked or {}, for_s)

    return Progress(lambda: metrics_of(host, port), stall["afterS"], None if asked is None else ask)


def one_token(role: str, host: str, port: int, asked: dict[str, Any], for_s: float) -> str:
    place = {"url": f"http://{f'[{host}]' if ':' in host else host}:{port}", "key": asked.get("key")}
    engine = Engine(role, place, host, time.monotonic() + for_s)
    try:
        name = asked.get("model") or engine.check_model(None)
        engine.complete({"prompt": PROMPT, "max_tokens": 1, "temperature": 0, **({"model": name} if name else {})})
    except Unasked:
        return "refused"
    except Failed as failure:
        return "late" if failure.facts["how"] == "late" else "refused"
    return "answered"
