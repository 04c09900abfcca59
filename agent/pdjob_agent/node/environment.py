"""The environment of an engine or proxy: the node's own, without what Ray added to its worker."""

import os
import sys

import ray


def engine_env(wanted: dict[str, str]) -> dict[str, str]:
    """`wanted` wins over everything inherited."""
    inherited = {name: value for name, value in os.environ.items() if not _is_rays(name, value)}
    return {**inherited, "PATH": _path(), **_visible_gpus(), **wanted}


def _is_rays(name: str, value: str) -> bool:
    """RAY_* could make a child join the cluster, and shows it our token. The other two are Ray's own ideas."""
    if name == "PYTHONBREAKPOINT":
        return value.startswith("ray.")
    return name.startswith("RAY_") or name == "OMP_NUM_THREADS"


def _path() -> str:
    """The node's, then the folder of Ray's own Python: a raylet is often started from an environment not activated."""
    return os.pathsep.join(filter(None, [os.environ.get("PATH"), os.path.dirname(sys.executable)]))


def _visible_gpus() -> dict[str, str]:
    """Ray sets the variable itself, but not when it gave no GPU: then a child would see, and take, all of them."""
    ids: list[str] = ray.get_runtime_context().get_accelerator_ids().get("GPU", [])  # pyright: ignore
    if ids and "CUDA_VISIBLE_DEVICES" in os.environ:
        return {}
    return {"CUDA_VISIBLE_DEVICES": ",".join(ids)}
