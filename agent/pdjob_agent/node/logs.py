"""Log files of engines and proxies: where they are, and pieces of them."""

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
    return {"text": piece.decode(errors="replace"), "offset": start + len(piece), "size": size}


def tail(path: str | None) -> str:
    text: str = read_log(path, None, TAIL_BYTES)["text"]
    return "\n".join(text.rstrip().splitlines()[-TAIL_LINES:])
