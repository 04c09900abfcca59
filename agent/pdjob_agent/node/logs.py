"""Log files of engines and proxies: where they are, and pieces of them."""

import codecs
import os
from typing import Any

TAIL_BYTES = 4_000
TAIL_LINES = 20


def new_log(cwd: str, name: str) -> str:
    """Path of an empty log. What an earlier job of the same name wrote is kept beside it, once."""
    folder = os.path.join(cwd, ".pdjob", "logs")
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, f"{name}.log")
    if os.path.exists(path):
        os.replace(path, f"{path}.previous")
    return path


def read_log(path: str | None, offset: int | None, max_bytes: int) -> dict[str, Any]:
    """A piece from `offset`, or the last `max_bytes`. `offset` of the answer is where to go on."""
    try:
        size = os.path.getsize(path) if path else 0
    except OSError:
        size = 0
    start = max(0, size - max_bytes) if offset is None else min(offset, size)
    if not path or size == 0:
        return {"text": "", "offset": start, "size": size}
    with open(path, "rb") as file:
        file.seek(start)
        piece = file.read(max_bytes)
    whole = _without_cut_end(piece)
    text = _without_cut_start(whole) if offset is None and start > 0 else whole
    return {"text": text.decode(errors="replace"), "offset": start + len(whole), "size": size}


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


def tail(path: str | None) -> str:
    text: str = read_log(path, None, TAIL_BYTES)["text"]
    return "\n".join(text.rstrip().splitlines()[-TAIL_LINES:])
