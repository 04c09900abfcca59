"""What of a folder is uploaded, and as which package: the same files make the same package, wherever they are.

``python -m pdjob_agent.folder DIR`` says, as one line of JSON, what would be uploaded; it needs no cluster.
"""

import contextlib
import fnmatch
import hashlib
import json
import os
import stat
import sys
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from .errors import AgentError
from .node.package import Contents

# Ray keeps packages in the memory of its head node. It takes 512 MiB, the message around them included.
PACKAGE_BYTES_MAX = 511 * 1024 * 1024
# Nothing so large packs to that: it need not be read to be refused.
FOLDER_BYTES_MAX = 8 * 1024**3
FILES_MAX = 50_000
NAMES_SHOWN = 5
# Never of use to an engine, often large: the same as Ray leaves out, and what else is made by tools.
LEFT_OUT = frozenset(
    {".git", ".hg", ".svn", "node_modules", "__pycache__", ".venv", "venv", ".pdjob"}
    | {".mypy_cache", ".pytest_cache", ".ruff_cache", ".tox"}
)
# As git and Ray know them, in any folder: patterns of what else stays here.
IGNORE_FILES = (".gitignore", ".rayignore")
# What people regret to have handed around.
KEYS = ("*.pem", "*.key", "*.p12", "*.pfx", "id_rsa*", "id_ed25519*")
SECRETS = (*KEYS, ".env", ".env.*", ".netrc", ".npmrc", ".pypirc", "credentials")
CHUNK = 1024 * 1024
EPOCH = (1980, 1, 1, 0, 0, 0)


@dataclass
class Survey:
    """`files` by path below the folder, in the order in which they are packed, with their sizes."""

    directory: str
    files: dict[str, int] = field(default_factory=dict[str, int])
    size: int = 0
    left_out: list[str] = field(default_factory=list[str])

    def as_json(self) -> dict[str, Any]:
        secrets = [path for path in self.files if looks_secret(path)]
        return {
            "files": len(self.files),
            "bytes": self.size,
            "leftOut": self.left_out[:NAMES_SHOWN],
            "secrets": secrets[:NAMES_SHOWN],
        }


def survey(directory: str) -> Survey:
    """Everything below the folder but what is left out. A link counts as the file to which it leads in the folder."""
    if not os.path.isdir(directory):
        raise AgentError("SpecInvalid", f"upload: {directory} is no folder on this machine, where the worker runs.")
    found = Survey(directory)
    for path, entry in walk(directory, "", [], found.left_out):
        refuse_unfit(directory, path, entry.is_symlink())
        found.files[path] = entry.stat().st_size
        found.size += found.files[path]
        if len(found.files) > FILES_MAX or found.size > FOLDER_BYTES_MAX:
            limits = f"{FILES_MAX} files or {FOLDER_BYTES_MAX / 1024**3:.0f} GiB"
            raise AgentError("SpecInvalid", f"upload: {directory} has more than {limits}. {advice(found)}")
    if not found.files:
        raise AgentError("SpecInvalid", f"upload: {directory} has no files to upload.")
    return found


def walk(root: str, below: str, ignored: list[Any], left_out: list[str]) -> "Iterator[tuple[str, os.DirEntry[str]]]":
    try:
        with os.scandir(os.path.join(root, below)) as listed:
            entries = sorted(listed, key=lambda one: one.name)
    except OSError as error:
        raise unreadable(error) from error
    rules = [*ignored, *ignore_rules(root, below)]
    for entry in entries:
        path = os.path.join(below, entry.name)
        is_folder = entry.is_dir(follow_symlinks=False)
        if entry.name in LEFT_OUT or any(rule(path, is_folder) for rule in rules):
            left_out.append(path)
        elif is_folder:
            yield from walk(root, path, rules, left_out)
        elif entry.is_file():
            yield path, entry
        else:
            left_out.append(path)  # A link to a folder or to nothing, a socket, a pipe.


def refuse_unfit(root: str, path: str, is_link: bool) -> None:
    """What lies elsewhere was not meant, and a name must be the same on every node."""
    try:
        path.encode()
    except UnicodeEncodeError as error:
        text = f"upload: the name of {os.path.join(root, path)!r} is no UTF-8. Rename it, or list it in a .rayignore."
        raise AgentError("SpecInvalid", text) from error
    target = os.path.realpath(os.path.join(root, path)) if is_link else None
    if target is not None and not target.startswith(os.path.realpath(root) + os.sep):
        text = f"upload: {os.path.join(root, path)} is a link out of the folder, to {target}."
        raise AgentError("SpecInvalid", f"{text} Copy the file there, or list the link in a .rayignore.")


def ignore_rules(root: str, below: str) -> list[Any]:
    from ray._private.thirdparty.pathspec import PathSpec  # pyright: ignore # noqa: PLC0415

    rules: list[Any] = []
    for name in IGNORE_FILES:
        with contextlib.suppress(OSError), open(os.path.join(root, below, name), encoding="utf-8") as file:
            spec: Any = PathSpec.from_lines("gitwildmatch", file.read().splitlines())  # pyright: ignore

            def matches(path: str, is_folder: bool, spec: Any = spec) -> bool:
                relative = os.path.relpath(path, below or ".")
                return bool(spec.match_file(f"{relative}/" if is_folder else relative))

            rules.append(matches)
    return rules


def package_of(found: Survey) -> str:
    """Ray's address of the package that these files make."""
    contents = Contents()
    for path in found.files:
        contents.add(path, is_executable(found, path), read(found, path, lambda _: None))
    return contents.address()


def pack(found: Survey, target: str) -> str:
    """Writes the package. The address is that of what was really packed, should a file change meanwhile."""
    contents = Contents()
    with open(target, "wb") as file, zipfile.ZipFile(file, "w") as archive:
        for path in found.files:
            info = zipfile.ZipInfo(path, EPOCH)
            info.compress_type = zipfile.ZIP_DEFLATED
            executable = is_executable(found, path)
            info.external_attr = (0o755 if executable else 0o644) << 16
            with archive.open(info, "w", force_zip64=True) as packed:
                contents.add(path, executable, read(found, path, packed.write))
            if file.tell() > PACKAGE_BYTES_MAX:
                limit = PACKAGE_BYTES_MAX / 1024**2
                text = f"makes a package of more than {limit:.0f} MiB, the most that Ray takes"
                raise AgentError("SpecInvalid", f"upload: {found.directory} {text}. {advice(found)}")
    return contents.address()


def read(found: Survey, path: str, write: Callable[[bytes], object]) -> bytes:
    """The SHA-256 of what is in a file; that is also written."""
    digest = hashlib.sha256()
    try:
        with open(os.path.join(found.directory, path), "rb") as file:
            while chunk := file.read(CHUNK):
                digest.update(chunk)
                write(chunk)
    except OSError as error:
        raise unreadable(error) from error
    return digest.digest()


def is_executable(found: Survey, path: str) -> bool:
    try:
        return bool(os.stat(os.path.join(found.directory, path)).st_mode & stat.S_IXUSR)
    except OSError as error:
        raise unreadable(error) from error


def unreadable(error: OSError) -> AgentError:
    return AgentError("SpecInvalid", f"upload: {error.filename} cannot be read ({error.strerror}).")


def advice(found: Survey) -> str:
    largest = sorted(found.files, key=lambda path: -found.files[path])[:3]
    names = ", ".join(f"{path} ({found.files[path] / 1024**2:.1f} MiB)" for path in largest)
    return (
        f"Its largest files: {names}. List what engines do not need in a .rayignore there, "
        "and put models on a disk that every node sees."
    )


def looks_secret(path: str) -> bool:
    return any(fnmatch.fnmatch(os.path.basename(path), pattern) for pattern in SECRETS)


def main(directory: str) -> None:
    try:
        answer = survey(directory).as_json()
    except AgentError as error:
        answer = {"error": error.message}
    sys.stdout.write(json.dumps(answer) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
