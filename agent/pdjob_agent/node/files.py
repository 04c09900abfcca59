"""Files that engines and proxies find in the working directory when they start."""

import contextlib
import os
import shutil


def write_below(cwd: str, path: str, text: str) -> str:
    """Where it is now. Whole or not at all: an engine of an earlier attempt may be reading it."""
    place = below(cwd, path)
    write_whole(place, text)
    return place


def write_whole(place: str, text: str) -> None:
    """Whoever reads the file sees the old text or the new one, whole, whenever we die."""
    os.makedirs(os.path.dirname(place), exist_ok=True)
    draft = f"{place}.{os.getpid()}"
    try:
        with open(draft, "w", encoding="utf-8") as target:
            target.write(text)
            target.flush()
            os.fsync(target.fileno())
        os.replace(draft, place)
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(draft)
        raise


def empty_below(cwd: str, folder: str) -> None:
    """The folder is there afterwards, with nothing in it."""
    place = below(cwd, folder)
    if os.path.isdir(place):
        shutil.rmtree(place)
    os.makedirs(place)


def unusable(cwd: str, error: Exception) -> str:
    """What to tell of a working directory that could not be made or written, or whose copy of `upload` is no good."""
    remedy = " Give `working_dir` a folder that every node can make and write." if isinstance(error, OSError) else ""
    return f"the working directory {cwd} cannot be used: {error}.{remedy}"


def remove(place: str) -> None:
    """The file, and its folder when nothing else is in it."""
    with contextlib.suppress(OSError):
        os.unlink(place)
        os.rmdir(os.path.dirname(place))


def below(cwd: str, path: str) -> str:
    """Nothing outside of the working directory is ours to write or to remove."""
    place = os.path.normpath(os.path.join(cwd, path))
    if os.path.isabs(path) or not place.startswith(os.path.normpath(cwd) + os.sep):
        raise ValueError(f"{path} is not below it")
    return place
