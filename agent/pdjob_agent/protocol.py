"""JSON lines on two file descriptors: requests in, answers out, many at a time."""

import json
import os
import sys
import threading
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, BinaryIO

from .errors import AgentError

# Verbs mostly wait for actors; each job has one watch and a few actions at a time.
WORKERS_MAX = 64
LINE_BYTES_MAX = 16 * 1024 * 1024

Handler = Callable[[str, dict[str, Any]], dict[str, Any]]


def claim_stdout() -> int:
    """Takes fd 1 for the protocol and points it at stderr: raylets print on the driver's stdout."""
    mine = os.dup(1)
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    return mine


class Writer:
    """Whole lines only, whoever writes."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._lock = threading.Lock()

    def write(self, message: dict[str, Any]) -> None:
        line = json.dumps(message, separators=(",", ":")).encode() + b"\n"
        with self._lock:
            while line:
                line = line[os.write(self._fd, line) :]


def serve(source: BinaryIO, writer: Writer, handle: Handler) -> None:
    """Until the end of input. Requests run side by side; answers come as they are ready."""
    with ThreadPoolExecutor(WORKERS_MAX) as pool:
        while line := source.readline(LINE_BYTES_MAX):
            request = parse(line)
            if isinstance(request, str):
                writer.write(refusal(None, AgentError("BadRequest", request)))
            else:
                pool.submit(answer, writer, handle, *request)


def parse(line: bytes) -> tuple[int, str, dict[str, Any]] | str:
    """The request's parts, or what is wrong with it."""
    try:
        request = json.loads(line)
    except ValueError:
        return f"not JSON: {line[:80]!r}"
    if not isinstance(request, dict):
        return "a request is an object {id, verb, args}"
    parts: dict[str, Any] = request  # pyright: ignore[reportUnknownVariableType]
    number, verb, args = parts.get("id"), parts.get("verb"), parts.get("args", {})
    if not isinstance(number, int) or not isinstance(verb, str) or not isinstance(args, dict):
        return "a request is an object {id: number, verb: string, args: object}"
    return number, verb, args  # pyright: ignore[reportUnknownVariableType]


def answer(writer: Writer, handle: Handler, number: int, verb: str, args: dict[str, Any]) -> None:
    try:
        writer.write({"id": number, "ok": True, "result": handle(verb, args)})
    except AgentError as error:
        writer.write(refusal(number, error))
    except KeyError as error:
        writer.write(refusal(number, AgentError("BadRequest", f"{verb}: argument {error} is missing")))
    except Exception as error:
        # The text of an unexpected error may hold an argument, and arguments may hold secrets: name its kind only.
        where = traceback.extract_tb(error.__traceback__)[-1]
        text = f"{verb} failed: {type(error).__name__} at {os.path.basename(where.filename)}:{where.lineno}"
        writer.write(refusal(number, AgentError("Internal", text)))


def refusal(number: int | None, error: AgentError) -> dict[str, Any]:
    return {"id": number, "ok": False, "error": error.as_json()}
