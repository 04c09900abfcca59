"""Log files of engines and proxies: where they are, how they stay bounded, and pieces of them.

An engine writes to its log itself, appending, so that nothing of ours can ever hold it up. Past LOG_BYTES_MAX the log
is turned: copied to ``NAME.log.1``, over what was there, and emptied. Offsets count from the first byte ever written,
so whoever follows a log does not notice.
"""

import codecs
import contextlib
import os
import re
import shutil
import threading
import time
from typing import Any, BinaryIO

LOG_BYTES_MAX = 64 * 1024 * 1024
SIZE_CHECK_S = 5.0
COPIES_MAX = 100
# Of each replica, on each node. An engine that dies again and again must not fill the disk.
LOGS_KEPT = 5
TAIL_BYTES = 4_000
TAIL_LINES = 20

OLDER = ".1"
PREVIOUS = ".previous"
LOG_NAME = re.compile(r"^(?P<base>.+)-g(?P<generation>\d+)(?P<rank>-r\d+)?\.log(?P<rest>\.previous)?$")


class Log:
    """The log of one process that is about to start. Thread-safe."""

    def __init__(self, cwd: str, name: str) -> None:
        self.path = new_log(cwd, name)
        self._dropped = 0
        self._lock = threading.Lock()
        threading.Thread(target=self._stay_small, daemon=True).start()

    def read(self, offset: int | None, max_bytes: int) -> dict[str, Any]:
        with self._lock:
            return read_log(self.path, offset, max_bytes, self._dropped)

    def tail(self) -> str:
        text: str = self.read(None, TAIL_BYTES)["text"]
        return "\n".join(text.rstrip().splitlines()[-TAIL_LINES:])

    def turn(self) -> None:
        """What is written in the moment between the last look and the emptying is lost."""
        with self._lock, contextlib.suppress(FileNotFoundError), open(self.path, "rb+") as file:
            try:
                # Not what is lost: offsets must go on without a gap.
                self._dropped += copy_all(file, self.path + OLDER)
            except OSError:
                # A full disk: the engine goes on, and its old lines do not.
                remove(f"{self.path}{OLDER}.new")
                remove(self.path + OLDER)
                self._dropped += os.fstat(file.fileno()).st_size
            file.truncate(0)

    def _stay_small(self) -> None:
        while True:
            time.sleep(SIZE_CHECK_S)
            if size_of(self.path) > LOG_BYTES_MAX:
                self.turn()


def copy_all(file: BinaryIO, path: str) -> int:
    """Until nothing was added while we copied, or so quickly that it will never end. How many bytes that is."""
    with open(f"{path}.new", "wb", buffering=0) as older:
        shutil.copyfileobj(file, older)
        os.replace(older.name, path)
        for _ in range(COPIES_MAX):
            if os.fstat(file.fileno()).st_size == file.tell():
                break
            shutil.copyfileobj(file, older)
        return file.tell()


def log_path(cwd: str, name: str) -> str:
    return os.path.join(cwd, ".pdjob", "logs", f"{name}.log")


def new_log(cwd: str, name: str) -> str:
    """Path of an empty log. What an earlier job of the same name wrote is set aside; the oldest logs are removed."""
    path = log_path(cwd, name)
    folder = os.path.dirname(path)
    os.makedirs(folder, exist_ok=True)
    mine = LOG_NAME.match(f"{name}.log")
    assert mine is not None, name
    for entry, found in logs_beside(folder, mine):
        # Generations only grow: one that is not older than ours was another job's.
        if found["rest"] is None and int(found["generation"]) >= int(mine["generation"]):
            other = os.path.join(folder, entry)
            with contextlib.suppress(FileNotFoundError):
                os.replace(other, other + PREVIOUS)
            remove(other + OLDER)
    kept = sorted((os.path.join(folder, entry) for entry, _ in logs_beside(folder, mine)), key=written_at)
    for old in kept[: max(0, len(kept) - LOGS_KEPT + 1)]:
        remove(old)
        remove(old + OLDER)
    return path


def logs_beside(folder: str, mine: "re.Match[str]") -> "list[tuple[str, re.Match[str]]]":
    """Logs of other generations, and other jobs, of the same replica."""
    found = [(entry, LOG_NAME.match(entry)) for entry in os.listdir(folder)]
    return [
        (entry, match)
        for entry, match in found
        if match is not None and (match["base"], match["rank"]) == (mine["base"], mine["rank"])
    ]


def read_log(path: str | None, offset: int | None, max_bytes: int, dropped: int | None = None) -> dict[str, Any]:
    """A piece from `offset`, or the last `max_bytes`. `offset` of the answer is where to go on.

    `dropped`: bytes that came before the first of the file; without it, those of its older part.
    """
    if path is None:
        return {"text": "", "offset": 0, "size": 0}
    before = size_of(path + OLDER)
    turned = before if dropped is None else dropped
    first, end = max(0, turned - before), turned + size_of(path)
    start = max(first, end - max_bytes) if offset is None else min(max(offset, first), end)
    piece = part(path + OLDER, start - first, max_bytes) if start < turned else b""
    if start + len(piece) >= turned:
        piece += part(path, start + len(piece) - turned, max_bytes - len(piece))
    whole = _without_cut_end(piece)
    text = _without_cut_start(whole) if offset is None and start > 0 else whole
    return {"text": text.decode(errors="replace"), "offset": start + len(whole), "size": max(end, start + len(whole))}


def read_left_log(path: str, offset: int | None, max_bytes: int) -> dict[str, Any]:
    """The log of an actor that is gone, read by a task on its node: empty when there is no such file."""
    if not os.path.exists(path):
        return {}
    return {**read_log(path, offset, max_bytes), "writtenAtS": written_at(path)}


def part(path: str, start: int, max_bytes: int) -> bytes:
    try:
        with open(path, "rb") as file:
            file.seek(start)
            return file.read(max_bytes)
    except FileNotFoundError:
        return b""


def size_of(path: str) -> int:
    try:
        return os.path.getsize(path)
    except OSError:
        return 0


def written_at(path: str) -> float:
    try:
        return os.path.getmtime(path)
    except OSError:
        return 0


def remove(path: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.remove(path)


def _without_cut_end(piece: bytes) -> bytes:
    """A character that goes on in the next piece is left to it."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    decoder.decode(piece)
    cut = len(decoder.getstate()[0])
    # Nothing but such a piece is no character at all: on with it, or the reader would never get past it.
    return piece[:-cut] if 0 < cut < len(piece) else piece


def _without_cut_start(piece: bytes) -> bytes:
    """The last bytes of a file may begin in the middle of a character."""
    skip = 0
    while skip < min(3, len(piece)) and piece[skip] & 0b1100_0000 == 0b1000_0000:
        skip += 1
    return piece[skip:]
