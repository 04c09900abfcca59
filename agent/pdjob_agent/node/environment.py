"""The environment of an engine or proxy: the node's own, without what Ray added to its worker."""

import os


def engine_env(wanted: dict[str, str]) -> dict[str, str]:
    """RAY_* would make a child join the cluster by accident (or show it our token); Ray sets OMP_NUM_THREADS to its CPUs."""
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith("RAY_") and name != "OMP_NUM_THREADS"
    }
    return {**inherited, **wanted}
