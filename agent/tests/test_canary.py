"""A canary against two engines that answer what the test says."""

import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from pdjob_agent.node.canary import send_canary

Json = dict[str, Any]
DRIP_S = 0.1
# The system gives up by itself after minutes; a busy machine takes seconds.
SWALLOWED_MAX_S = 60
PARAMS = {"remote_block_ids": [[1]]}


class Engine:
    """One that answers everything well; tests change what it does."""

    def __init__(self, params: Json | None) -> None:
        self.models = ["sim"]
        self.params = params
        self.status: dict[str, int] = {}
        self.finish = "length"
        self.delay_s = 0.0
        # What it answers byte by byte.
        self.drips: str | None = None
        self.is_drained = False
        # Tokens that it counts for a prompt, by where they came from.
        self.source = "external_kv_transfer"
        self.counts: dict[str, int] = {"local_compute": 0, "external_kv_transfer": 7}
        self.is_counting = True
        # A decode engine that dislikes KV.
        self.refuses_kv = False
        self.bodies: list[Json] = []
        self.headers: list[Any] = []
        owner = self

        class Answers(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if self.path == "/metrics":
                    rows = (
                        f'vllm:prompt_tokens_by_source_total{{engine="0",source="{source}"}} {count}.0'
                        for source, count in owner.counts.items()
                    )
                    return self.say(200, "\n".join(rows))
                self.say(owner.status.get(self.path, 200), json.dumps({"data": [{"id": one} for one in owner.models]}))

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                owner.bodies.append(body)
                owner.headers.append(self.headers)
                time.sleep(owner.delay_s)
                is_refused = owner.refuses_kv and "kv_transfer_params" in body
                status = 500 if is_refused else owner.status.get(self.path, 200)
                if status != 200:
                    return self.say(status, json.dumps({"error": {"message": "it did\nnot work"}}))
                tokens = len(body["prompt"].split())
                if owner.is_counting:
                    owner.counts[owner.source] += tokens
                answer = {"choices": [{"text": "x", "finish_reason": owner.finish}], "usage": {"prompt_tokens": tokens}}
                self.say(200, json.dumps({**answer, "kv_transfer_params": owner.params}))

            def say(self, status: int, text: str) -> None:
                if owner.drips == "headers":
                    self.drip(b"HTTP/1.0 200 OK\r\n" + 50 * b"x: y\r\n")
                self.send_response(status)
                self.end_headers()
                if owner.drips == "body":
                    self.drip(text.encode())
                self.wfile.write(text.encode())

            def drip(self, content: bytes) -> None:
                with contextlib.suppress(OSError):
                    for byte in content:
                        self.wfile.write(bytes([byte]))
                        time.sleep(DRIP_S)
                    owner.is_drained = True

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def pair() -> Iterator[tuple[Engine, Engine]]:
    engines = Engine(PARAMS), Engine(None)
    yield engines
    for one in engines:
        one.close()


def send(pair: tuple[Engine, Engine], **changes: Any) -> Json:
    prefill, decode = ({"url": one.url} for one in pair)
    asked: Json = {"prefill": prefill, "decode": decode, "handOver": "params", "model": "sim", "timeoutS": 10}
    return send_canary({**asked, **changes}, "10.0.0.8")


def test_a_prompt_goes_to_prefill_and_then_to_decode_with_what_prefill_answered(pair: tuple[Engine, Engine]) -> None:
    prefill, decode = pair
    keys = {"prefill": {"url": prefill.url, "key": "a"}, "decode": {"url": decode.url, "key": "b"}}
    assert send(pair, **keys) == {"passed": True}
    assert send(pair) == {"passed": True}
    (first, second), answered = prefill.bodies, decode.bodies[0]
    assert first["prompt"] == answered["prompt"] != second["prompt"]
    assert len(first["prompt"].split()) == 32
    assert (first["max_tokens"], first["stream"], first["temperature"]) == (1, False, 0)
    assert first["kv_transfer_params"]["do_remote_decode"] is True
    assert (answered["max_tokens"], answered["kv_transfer_params"]) == (2, PARAMS)
    assert [headers["authorization"] for headers in prefill.headers] == ["Bearer a", None]
    assert decode.headers[0]["authorization"] == "Bearer b"
    assert len({headers["x-request-id"] for headers in prefill.headers + decode.headers}) == 4


def fails(change: Callable[[Engine, Engine], None], stage: str, how: str, message: str) -> Any:
    return pytest.param(change, stage, how, message, id=f"{stage}: {message}")


@pytest.mark.parametrize(
    ("change", "stage", "how", "message"),
    [
        fails(lambda p, d: p.close(), "reach", "failed", "cannot be reached from 10.0.0.8: Connection refused"),
        fails(lambda p, d: d.close(), "reach", "failed", "cannot be reached from 10.0.0.8: Connection refused"),
        fails(lambda p, d: p.models.__setitem__(0, "a"), "model", "wrong", "serves a, and not sim"),
        fails(lambda p, d: d.models.clear(), "model", "wrong", "serves no model, and not sim"),
        fails(lambda p, d: p.status.update({"/v1/models": 503}), "model", "failed", "answered 503 to /v1/models"),
        fails(lambda p, d: setattr(p, "params", None), "prefill", "wrong", "answered without kv_transfer_params"),
        fails(lambda p, d: p.status.update({"/v1/completions": 500}), "prefill", "failed", "500: it did not work"),
        fails(lambda p, d: p.status.update({"/v1/completions": 400}), "prefill", "wrong", "400: it did not work"),
        fails(lambda p, d: setattr(p, "delay_s", 2), "prefill", "late", "did not answer /v1/completions in time"),
        fails(lambda p, d: setattr(p, "finish", "abort"), "prefill", "failed", "ended the request with abort"),
        fails(lambda p, d: d.status.update({"/v1/completions": 500}), "decode", "failed", "500: it did not work"),
        fails(lambda p, d: setattr(d, "delay_s", 2), "decode", "late", "did not answer /v1/completions in time"),
        fails(lambda p, d: setattr(d, "finish", "error"), "decode", "failed", "ended the request with error"),
        fails(lambda p, d: setattr(d, "refuses_kv", True), "kv", "failed", "although it answers the same prompt"),
        fails(lambda p, d: setattr(d, "source", "local_compute"), "kv", "wrong", "computed the 32 tokens"),
    ],
)
def test_what_is_wrong_is_named_by_its_stage(
    pair: tuple[Engine, Engine],
    change: Callable[[Engine, Engine], None],
    stage: str,
    how: str,
    message: str,
) -> None:
    change(*pair)
    # Nothing but what is late on purpose may be late, on a busy machine either.
    answer = send(pair, timeoutS=1.5 if how == "late" else 60)
    assert (answer["passed"], answer["stage"], answer["how"]) == (False, stage, how)
    assert message in answer["message"]


def test_the_counts_of_a_busy_engine_are_no_proof(pair: tuple[Engine, Engine]) -> None:
    _, decode = pair
    decode.source = "local_compute"
    ended = threading.Event()

    def others() -> None:
        while not ended.wait(0.001):
            decode.counts["external_kv_transfer"] += 1

    # Requests of others come by transfer meanwhile: it cannot be told whether this one did.
    threading.Thread(target=others, daemon=True).start()
    assert send(pair) == {"passed": True}
    ended.set()


@pytest.mark.parametrize("counts", [{}, {"local_compute": 3, "external_kv_transfer": 7}])
def test_nor_are_those_of_an_engine_that_does_not_count_it(pair: tuple[Engine, Engine], counts: dict[str, int]) -> None:
    _, decode = pair
    decode.is_counting = False
    decode.counts = counts
    assert send(pair) == {"passed": True}
    assert len(decode.bodies) == 1


@pytest.mark.parametrize("drips", ["headers", "body"])
def test_an_engine_that_answers_drop_by_drop_is_late(pair: tuple[Engine, Engine], drips: str) -> None:
    pair[0].drips = drips
    answer = send(pair, timeoutS=1)
    assert (answer["passed"], answer["stage"], answer["how"]) == (False, "reach", "late")
    assert not pair[0].is_drained


@pytest.mark.parametrize(
    ("hand_over", "asked"),
    [("store", [False, False]), ("any", [True, False]), ("none", [False, False]), ("models", [])],
)
def test_only_what_the_connector_allows_is_asked(
    pair: tuple[Engine, Engine], hand_over: str, asked: list[bool]
) -> None:
    for one in pair:
        one.params = None
        one.source = "local_compute"
    assert send(pair, handOver=hand_over) == {"passed": True}
    assert ["kv_transfer_params" in body for one in pair for body in one.bodies] == asked


@pytest.mark.parametrize(
    ("path", "status", "note"),
    [
        ("/v1/models", 404, "has no /v1/models"),
        ("/v1/completions", 404, "has no /v1/completions"),
        ("/v1/models", 401, "it wants a key that is not in params.api_key"),
    ],
)
def test_an_engine_that_cannot_be_asked_passes_with_a_note(
    pair: tuple[Engine, Engine], path: str, status: int, note: str
) -> None:
    pair[0].status[path] = status
    answer = send(pair)
    assert answer["passed"] is True
    assert note in answer["note"]


def test_an_address_that_swallows_everything_costs_the_time_allowed_and_no_more(pair: tuple[Engine, Engine]) -> None:
    deaf = socket.create_server(("127.0.0.1", 0))
    began = time.monotonic()
    answer = send(pair, prefill={"url": f"http://127.0.0.1:{deaf.getsockname()[1]}"}, timeoutS=0.5)
    assert (answer["stage"], answer["how"]) == ("reach", "late")
    assert time.monotonic() - began < SWALLOWED_MAX_S
    deaf.close()
