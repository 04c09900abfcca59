"""When an engine whose /health answers counts as hanging: the decision as a table, and what is done about it."""

import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from pdjob_agent.node.progress import PROMPT, Progress, one_token
from pdjob_agent.node.stall import Look, Memory, Rule, judge, look_at

from .processes import within

STALL_S = 30.0
# Tokens in the smallest block of KV that vLLM has.
SMALLEST_BLOCK = 8
BUSY = Look("a", busy=True, able=True)
IDLE = Look("a", busy=False, able=True)
MOVED = Look("b", busy=True, able=True)

# Seconds since the look before, what was seen, what became of the request for a token.
Step = tuple[float, Look | None, str | None]


def story(steps: list[Step], may_ask: bool = True) -> list[str]:
    """What each look came to: fine, ask or hangs."""
    memory, told = Memory(), list[str]()
    for passed_s, look, answer in steps:
        memory, is_to_ask = judge(memory, look, passed_s, answer, Rule(STALL_S, may_ask))
        told.append("ask" if is_to_ask else "hangs" if memory.hangs else "fine")
    return told


def still(look: Look | None, count: int, passed_s: float = 10) -> list[Step]:
    return [(passed_s, look, None)] * count


FROZEN = ["fine", "fine", "fine", "ask", "fine", "fine", "hangs", "hangs"]


@pytest.mark.parametrize(
    ("case", "steps", "told"),
    [
        ("requests stand still", still(BUSY, 8), FROZEN),
        ("an idle engine that does not answer: its metrics would not show a request", still(IDLE, 8), FROZEN),
        (
            "an idle engine that answers is asked once in that time",
            [*still(IDLE, 4), (10, Look("b", False, True), "answered"), *still(Look("b", False, True), 3)],
            ["fine", "fine", "fine", "ask", "fine", "fine", "fine", "ask"],
        ),
        (
            "anything that moves is progress, the answer still to come",
            [*still(BUSY, 6), (10, MOVED, None), *still(MOVED, 4)],
            ["fine", "fine", "fine", "ask", "fine", "fine", "fine", "fine", "fine", "ask", "fine"],
        ),
        (
            "a stream that moves between any two looks",
            [(29, Look(str(at), True, True), None) for at in range(9)],
            ["fine"] * 9,
        ),
        (
            "an answer is progress, whatever the metrics say: all may wait for KV from elsewhere",
            [*still(BUSY, 5), (10, BUSY, "answered"), *still(BUSY, 2)],
            ["fine", "fine", "fine", "ask", "fine", "fine", "fine", "fine"],
        ),
        (
            "a request that was given up is sent again before anything is said",
            [*still(BUSY, 5), (10, BUSY, "late"), *still(BUSY, 3)],
            ["fine", "fine", "fine", "ask", "fine", "ask", "fine", "fine", "hangs"],
        ),
        (
            "metrics that cannot be had say nothing, and no time passes",
            [*still(BUSY, 3), *still(None, 9), *still(BUSY, 5)],
            [*["fine"] * 12, "ask", "fine", "fine", "hangs", "hangs"],
        ),
        ("one that never made a token may be compiling", still(Look("a", True, False), 40), ["fine"] * 40),
        ("an engine that goes on is well again", [*still(BUSY, 7), (10, MOVED, None)], [*FROZEN[:7], "fine"]),
    ],
)
def test_an_engine_hangs_when_nothing_moves_and_a_request_is_not_answered(
    case: str, steps: list[Step], told: list[str]
) -> None:
    assert (case, story(steps)) == (case, told)


UNASKED = ["fine"] * 12 + ["hangs"]


@pytest.mark.parametrize(
    ("case", "steps", "may_ask", "told"),
    [
        ("its own word that requests run, for four times as long", still(BUSY, 13), False, UNASKED),
        ("an idle engine", still(IDLE, 40), False, ["fine"] * 40),
        (
            "one that refuses the request is not asked again until it moves",
            [*still(BUSY, 4), (10, BUSY, "refused"), *still(BUSY, 8)],
            True,
            ["fine", "fine", "fine", "ask", *["fine"] * 8, "hangs"],
        ),
        (
            "an idle one that refuses",
            [*still(IDLE, 4), (10, IDLE, "refused"), *still(IDLE, 30)],
            True,
            ["fine", "fine", "fine", "ask", *["fine"] * 31],
        ),
    ],
)
def test_where_no_request_may_be_sent_the_engine_s_own_word_decides_and_late(
    case: str, steps: list[Step], may_ask: bool, told: list[str]
) -> None:
    assert (case, story(steps, may_ask)) == (case, told)


def metrics(**values: float) -> str:
    names = {
        "running": 'vllm:num_requests_running{engine="0"}',
        "waiting": 'vllm:num_requests_waiting{engine="0"}',
        "deferred": 'vllm:num_requests_waiting_by_reason{engine="0",reason="deferred"}',
        "capacity": 'vllm:num_requests_waiting_by_reason{engine="0",reason="capacity"}',
        "tokens": 'vllm:generation_tokens_total{engine="0"}',
        "awake": 'vllm:engine_sleep_state{engine="0",sleep_state="awake"}',
        "http": 'http_requests_total{handler="/health"}',
    }
    return "# TYPE x gauge\n" + "".join(f"{names[name]} {value}\n" for name, value in values.items())


@pytest.mark.parametrize(
    ("text", "busy", "able"),
    [
        (metrics(running=1, waiting=0, tokens=5), True, True),
        (metrics(running=0, waiting=2, capacity=2, deferred=0, tokens=5), True, True),
        # They wait for KV, or for a grammar: nothing has to move.
        (metrics(running=0, waiting=2, capacity=0, deferred=2, tokens=5), False, True),
        (metrics(running=1, waiting=2, deferred=2, tokens=5), True, True),
        (metrics(running=1, waiting=0, tokens=0), True, False),
        (metrics(running=0, waiting=0, tokens=5, awake=1), False, True),
        (metrics(running=0, waiting=0, tokens=5, awake=0), False, False),
    ],
)
def test_what_metrics_tell(text: str, busy: bool, able: bool) -> None:
    look = look_at(text)
    assert look is not None and (look.busy, look.able) == (busy, able)


def test_only_what_the_engine_core_counts_is_progress() -> None:
    before = metrics(running=1, tokens=5, http=1)
    assert look_at(before) == look_at(metrics(running=1, tokens=5, http=2))
    assert look_at(before) != look_at(metrics(running=1, tokens=6, http=1))
    assert look_at(before) == look_at("\n".join(reversed(before.splitlines())))
    assert look_at(metrics(http=1)) is None


def test_an_engine_that_stands_still_is_asked_once_and_told_of_until_it_moves() -> None:
    tokens, asked, answer = [5.0], list[float](), threading.Event()

    def ask(for_s: float) -> str:
        asked.append(for_s)
        return "answered" if answer.wait(30) else "late"

    one = Progress(lambda: metrics(running=0, tokens=tokens[0]), 0.4, ask)
    assert within(20, lambda: one.stalled_s is not None)
    assert len(asked) == 1 and asked[0] > 2 * 0.4
    tokens[0] = 6
    assert within(20, lambda: one.stalled_s is None)
    one.stop()
    answer.set()


def test_one_that_cannot_be_asked_for_its_metrics_is_left_alone() -> None:
    one = Progress(lambda: None, 0.2, lambda _: "late")
    time.sleep(1.5)
    assert one.stalled_s is None
    one.stop()


def test_an_answer_that_comes_while_metrics_cannot_be_had_is_judged_once_they_can() -> None:
    looks, asked, away = list[float](), list[float](), threading.Event()

    def metrics_now() -> str | None:
        looks.append(time.monotonic())
        return None if away.is_set() else metrics(running=0, tokens=5)

    def ask(for_s: float) -> str:
        asked.append(for_s)
        away.set()
        return "refused"

    one = Progress(metrics_now, 0.4, ask)
    assert within(20, away.is_set)
    for _ in range(2):  # While they are away, and as long as it takes to find that it hangs.
        seen = len(looks)
        assert within(20, lambda seen=seen: len(looks) > seen + 5)
        away.clear()
    assert (one.stalled_s, len(asked)) == (None, 1)
    one.stop()


class Server(BaseHTTPRequestHandler):
    """Stands for an API server whose engine core is frozen, or refuses."""

    status = 200
    frozen = threading.Event()

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        if self.status == 200:
            self.frozen.wait(30)
        self.send_response(self.status)
        self.end_headers()
        self.wfile.write(b'{"choices":[{"finish_reason":"length"}]}')

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[ThreadingHTTPServer]:
    one = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    one.daemon_threads = True
    threading.Thread(target=one.serve_forever, daemon=True).start()
    yield one
    Server.frozen.set()
    one.shutdown()
    one.server_close()


@pytest.mark.parametrize(
    ("status", "goes_on", "told"),
    [
        (200, True, "answered"),
        (200, False, "late"),
        (400, True, "refused"),
        (401, True, "refused"),
        (404, True, "refused"),
        (500, True, "refused"),
    ],
)
def test_a_request_for_one_token_is_answered_refused_or_late(
    server: ThreadingHTTPServer, status: int, goes_on: bool, told: str
) -> None:
    Server.status = status
    (Server.frozen.set if goes_on else Server.frozen.clear)()
    asked = {"model": "m", "key": "k"}
    assert one_token("decode", "127.0.0.1", server.server_port, asked, 0.5 if told == "late" else 20) == told


def test_the_request_for_one_token_has_a_prompt_of_a_few() -> None:
    assert 1 < len(PROMPT.split()) < len(PROMPT) < SMALLEST_BLOCK
