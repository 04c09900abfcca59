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

# Reads are short, and an orchestrator that cannot see is as good as dead: they never queue behind actions.
READS_MAX = 64
# Actions mostly sleep: a stop may take its engine's whole grace. Whole jobs of hundreds of replicas stop at once.
ACTIONS_MAX = 256
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


class MissingArgument(KeyError):
    """Its text is the argument's name."""


class Arguments(dict[str, Any]):
    """A verb's arguments: one that is missing is the caller's mistake, unlike any other missing key."""

    def __missing__(self, name: str) -> Any:
        raise MissingArgument(name)

    def __reduce__(self) -> tuple[type[dict[str, Any]], tuple[dict[str, Any]]]:
        # The nodes, to which arguments are passed on, have nothing of ours.
        return dict, (dict(self),)


def serve(source: BinaryIO, writer: Writer, handle: Handler, reads: frozenset[str] = frozenset()) -> None:
    """
    Until the end of input. Requests run side by side, `reads` apart from the rest; answers come as they are ready.
    What is still queued then is dropped: nobody would hear of it, and it might undo what somebody else has done since.
    """
    readers = ThreadPoolExecutor(READS_MAX, "read")
    actors = ThreadPoolExecutor(ACTIONS_MAX, "act")
    while line := source.readline(LINE_BYTES_MAX):
        request = parse(line)
        if isinstance(request, str):
            writer.write(refusal(None, AgentError("BadRequest", request)))
        else:
            pool = readers if request[1] in reads else actors
            pool.submit(answer, writer, handle, *request)
    for pool in (readers, actors):
        pool.shutdown(wait=False, cancel_futures=True)


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
    return number, verb, Arguments(args)  # pyright: ignore[reportUnknownArgumentType]


def answer(writer: Writer, handle: Handler, number: int, verb: str, args: dict[str, Any]) -> None:
    try:
        writer.write({"id": number, "ok": True, "result": handle(verb, args)})
    except AgentError as error:
        writer.write(refusal(number, error))
    except MissingArgument as error:
        writer.write(refusal(number, AgentError("BadRequest", f"{verb}: argument {error} is missing")))
    except Exception as error:
        # The text of an unexpected error may hold an argument, and arguments may hold secrets: name its kind only.
        where = traceback.extract_tb(error.__traceback__)[-1]
        text = f"{verb} failed: {type(error).__name__} at {os.path.basename(where.filename)}:{where.lineno}"
        writer.write(refusal(number, AgentError("Internal", text)))


def refusal(number: int | None, error: AgentError) -> dict[str, Any]:
    return {"id": number, "ok": False, "error": error.as_json()}
