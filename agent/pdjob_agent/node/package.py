"""What the address of a package of uploaded files tells of it: the same files have the same address, others another."""

import hashlib

PREFIX = "gcs://_ray_pkg_"
DIGITS = 40


class Contents:
    """A sum over files in the order in which they are packed."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()

    def add(self, path: str, executable: bool, content: bytes) -> None:
        """`content` is the SHA-256 of what is in the file."""
        name = path.encode(errors="surrogateescape")
        self._digest.update(b"%d\0%b\0%d\0%b" % (len(name), name, executable, content))

    def address(self) -> str:
        return f"{PREFIX}{self._digest.hexdigest()[:DIGITS]}.zip"
