"""The KV that engines of a job left in files, as a task on a node sees it."""

import os
import shutil
import time

# On a shared disk several nodes remove the same folder, and stumble over what another has removed before.
ATTEMPTS = 20
PAUSE_S = 0.25


def clear_kv(folders: list[str], dry_run: bool) -> dict[str, str | None]:
    """By folder that is there: what keeps it from being removed, or None."""
    found: dict[str, str | None] = {}
    for folder in folders:
        if not os.path.isdir(folder):
            continue
        gone = dry_run or remove(folder)
        found[folder] = None if gone else "it cannot be removed by the user that Ray runs as"
    return found


def remove(folder: str) -> bool:
    for _ in range(ATTEMPTS):
        shutil.rmtree(folder, ignore_errors=True)
        if not os.path.isdir(folder):
            return True
        time.sleep(PAUSE_S)
    return False
