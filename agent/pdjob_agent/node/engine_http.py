"""An engine's HTTP API, asked within a limit of time, with answers and failures in words."""

import contextlib
import http.client
import json
import re
import secrets
import socket
import threading
import time
from collections.abc import Generator
from typing import Any, cast
from urllib.parse import urlsplit

from .load import METRICS_BYTES_MAX

Json = dict[str, Any]

CONNECT_TIMEOUT_S = 5.0
ANSWER_BYTES_MAX = 1024 * 1024
ANSWER_SHOWN_MAX = 200
NOT_THERE = (404, 405, 501)
TOKENS = re.compile(
    r'^vllm:prompt_tokens_by_source_total\{.*source="(\w+)".*\} ([0-9.eE+]+)$',
    re.MULTILINE,
)


class Failed(Exception):
    """`how`: wrong = it will be the same again · failed = it may be another time · late = no answer yet."""

    def __init__(self, stage: str, how: str, message: str) -> None:
        super().__init__(message)
        self.facts = {"stage": stage, "how": how, "message": message}


class Unasked(Exception):
    """An engine that has no such request: nothing is known against it. The text says why."""


class Engine:
    def __init__(self, role: str, place: Json, here: str, until: float) -> None:
        self.title = f"the {role} engine at {place['url']}"
        self._role = role
        self._url = urlsplit(str(place["url"]))
        self._here = here
        self._until = until
        self._headers = {"content-type": "application/json", "x-request-id": f"canary-{secrets.token_hex(8)}"}
        if place.get("key"):
            self._headers["authorization"] = f"Bearer {place['key']}"

    def check_model(self, wanted: str | None) -> str | None:
        """The first name that it lists, which must have the wanted one among them."""
        status, answer = self._ask("GET", "/v1/models", "reach")
        self._unless_refused(status, "/v1/models")
        if status != 200:
            raise Failed("model", "failed", f"{self.title} answered {status} to /v1/models")
        if "data" not in answer:
            raise Unasked(f"{self.title} lists no models")
        names = [str(one["id"]) for one in as_objects(answer["data"]) if "id" in one]
        if wanted is not None and wanted not in names:
            text = f"{self.title} serves {', '.join(names) or 'no model'}, and not {wanted}"
            raise Failed("model", "wrong", text)
        return names[0] if names else None

    def complete(self, body: Json) -> Json:
        status, answer = self._ask("POST", "/v1/completions", self._role, body)
        self._unless_refused(status, "/v1/completions")
        if status != 200:
            how = "wrong" if status < 500 else "failed"
            said = answer.get("error", "no reason given")
            text = as_object(said).get("message", said)
            raise Failed(self._role, how, f"{self.title} answered {status}: {shown(text)}")
        choices = as_objects(answer.get("choices"))
        if not choices:
            raise Failed(self._role, "wrong", f"{self.title} answered without a choice")
        end = choices[0].get("finish_reason")
        if end in ("abort", "error"):
            raise Failed(self._role, "failed", f"{self.title} ended the request with {end}")
        return answer

    def tokens_by_source(self) -> dict[str, float] | None:
        """Tokens of prompts, by where their KV came from; None when the engine does not count them."""
        try:
            status, text = self._send("GET", "/metrics", None, METRICS_BYTES_MAX)
        except (Unreachable, OSError, http.client.HTTPException):
            return None
        counts: dict[str, float] = {}
        for source, count in TOKENS.findall(text) if status == 200 else []:
            counts[source] = counts.get(source, 0) + float(count)
        return counts or None

    def _unless_refused(self, status: int, path: str) -> None:
        if status in NOT_THERE:
            raise Unasked(f"{self.title} has no {path}")
        if status in (401, 403):
            raise Unasked(f"{self.title} answers {status} to {path}: it wants a key that is not in params.api_key")

    def _ask(self, method: str, path: str, stage: str, body: Json | None = None) -> tuple[int, Json]:
        try:
            status, text = self._send(method, path, body, ANSWER_BYTES_MAX)
        except Unreachable as error:
            text = f"{self.title} cannot be reached from {self._here}: {error}"
            raise Failed("reach", "failed", text) from error
        except TimeoutError as error:
            raise Failed(stage, "late", f"{self.title} did not answer {path} in time") from error
        except (OSError, http.client.HTTPException) as error:
            text = f"{self.title} broke off its answer to {path}: {describe(error)}"
            raise Failed(stage, "failed", text) from error
        try:
            return status, as_object(json.loads(text))
        except ValueError:
            return status, {"error": text}

    def _send(self, method: str, path: str, body: Json | None, bytes_max: int) -> tuple[int, str]:
        left_s = self._until - time.monotonic()
        if left_s <= 0:
            raise TimeoutError
        connection = http.client.HTTPConnection(
            self._url.hostname or "", self._url.port, timeout=min(left_s, CONNECT_TIMEOUT_S)
        )
        try:
            try:
                connection.connect()
            except OSError as error:
                raise Unreachable(describe(error)) from error
            connection.sock.settimeout(left_s)
            with cut_off(connection.sock, left_s):
                connection.request(method, path, None if body is None else json.dumps(body), self._headers)
                response = connection.getresponse()
                return response.status, response.read(bytes_max).decode(errors="replace")
        finally:
            connection.close()


@contextlib.contextmanager
def cut_off(connection: socket.socket, after_s: float) -> Generator[None]:
    """
    Ends what is read inside by TimeoutError. A socket's own timeout is for each piece: an engine that answers drop by
    drop would keep the actor's only canary for as long as it likes.
    """
    is_late = threading.Event()

    def cut() -> None:
        is_late.set()
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(after_s, cut)
    timer.daemon = True
    timer.start()
    try:
        yield
    except (OSError, http.client.HTTPException) as error:
        if is_late.is_set():
            raise TimeoutError from error
        raise
    finally:
        timer.cancel()
    if is_late.is_set():
        raise TimeoutError


def as_object(value: object) -> Json:
    return cast(Json, value) if isinstance(value, dict) else {}


def as_objects(value: object) -> list[Json]:
    return [as_object(one) for one in cast(list[object], value)] if isinstance(value, list) else []


class Unreachable(Exception):
    """No connection; the text says why."""


def describe(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return f"no connection within {CONNECT_TIMEOUT_S:.0f} s"
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def shown(text: object) -> str:
    """As far as it fits a sentence."""
    return re.sub(r"\s+", " ", re.sub(r"[\x00-\x1f\x7f]", " ", str(text))).strip()[:ANSWER_SHOWN_MAX]
