"""The files that were uploaded for a job: unpacked for each engine or proxy, in a folder of its own that goes with it.

Ray has unpacked them as well, but into one folder for all its actors there, which it replaces while they run when
another raylet of the same machine unpacks the same files.

A folder has its name only once it is whole, and is locked by the actor that it belongs to for as long as that lives:
what a killed actor left is found by its free lock.
"""

import contextlib
import fcntl
import hashlib
import io
import os
import shutil
import stat
import time
import zipfile

import ray

from .package import Contents

PART = ".part"
CHUNK = 1024 * 1024
# Between being made and being locked a folder looks abandoned.
ABANDONED_AFTER_S = 60.0


class NotUnpacked(Exception):
    """The package is not what it should be. The text goes on from "the working directory … cannot be used: "."""


class Unpacked:
    """One actor's copy of the files. `folder` is None when none came with it."""

    def __init__(self) -> None:
        self.folder: str | None = None
        self._lock: int | None = None

    def unpack(self, cwd: str, name: str) -> None:
        """Once for each actor, however often it is asked."""
        context = ray.get_runtime_context()
        package: str = context.runtime_env.get("working_dir", "")  # pyright: ignore
        if not package or self.folder is not None:
            return
        parent = os.path.join(cwd, ".pdjob", "upload")
        # Another cluster on the same disk may have an actor of the same name.
        folder = os.path.join(parent, f"{name}.{str(context.get_actor_id())[:8]}")
        os.makedirs(parent, exist_ok=True)
        remove_abandoned(parent)
        shutil.rmtree(folder + PART, ignore_errors=True)
        os.mkdir(folder + PART)
        lock = locked(folder + PART)
        try:
            extract(content_of(package), package, folder + PART)
            os.rename(folder + PART, folder)
        except BaseException:
            shutil.rmtree(folder + PART, ignore_errors=True)
            release(lock)
            raise
        self.folder, self._lock = folder, lock

    def environment(self, env: dict[str, str]) -> dict[str, str]:
        """In which what is in the folder can be imported, and nothing from Ray's own copy of it."""
        if self.folder is None:
            return env
        others = [path for path in env.get("PYTHONPATH", "").split(os.pathsep) if path not in ("", os.getcwd())]
        return {**env, "PYTHONPATH": os.pathsep.join([self.folder, *others])}

    def remove(self) -> None:
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)
        self.folder = None
        release(self._lock)
        self._lock = None


def content_of(package: str) -> bytes:
    from ray.experimental import internal_kv  # noqa: PLC0415

    content = internal_kv._internal_kv_get(package)  # pyright: ignore
    if not content:
        raise NotUnpacked(f"Ray does not have the uploaded files {package} any more")
    return content


def extract(content: bytes, package: str, folder: str) -> None:
    """Into a new folder. Whoever can write to Ray's store must not get at files outside of it."""
    contents = Contents()
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            for info in archive.infolist():
                refuse_unsafe(info, package)
                mode = 0o755 if (info.external_attr >> 16) & stat.S_IXUSR else 0o644
                digest = write_member(archive, info, os.path.join(folder, info.filename), mode)
                contents.add(info.filename, mode == 0o755, digest)
    except zipfile.BadZipFile as error:
        raise NotUnpacked(f"the uploaded files {package} are damaged in Ray ({error})") from error
    if contents.address() != package:
        raise NotUnpacked(f"what Ray has as {package} are other files than those that were uploaded")


def refuse_unsafe(info: zipfile.ZipInfo, package: str) -> None:
    path, kind = info.filename, stat.S_IFMT(info.external_attr >> 16)
    plain = path != "" and os.path.normpath(path) == path and not os.path.isabs(path) and path.split("/")[0] != ".."
    if not plain or kind not in (0, stat.S_IFREG):
        raise NotUnpacked(f"{path!r} in the uploaded files {package} is no plain file below it")


def write_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, place: str, mode: int) -> bytes:
    os.makedirs(os.path.dirname(place), exist_ok=True)
    digest = hashlib.sha256()
    with archive.open(info) as packed, open(place, "xb") as file:
        while chunk := packed.read(CHUNK):
            digest.update(chunk)
            file.write(chunk)
        os.fchmod(file.fileno(), mode)
    return digest.digest()


def remove_abandoned(parent: str) -> None:
    """Copies of actors that were killed, of whatever job runs in this working directory."""
    for entry in os.listdir(parent):
        folder = os.path.join(parent, entry)
        with contextlib.suppress(OSError):
            if time.time() - os.stat(folder).st_mtime < ABANDONED_AFTER_S:
                continue
            lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(lock)


def locked(folder: str) -> int | None:
    """None on a disk that has no locks for folders (NFS): nothing there counts as abandoned."""
    lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        return None
    return lock


def release(lock: int | None) -> None:
    if lock is not None:
        os.close(lock)
