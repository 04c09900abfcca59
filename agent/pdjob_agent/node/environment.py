"""The environment of an engine or proxy: the node's own, without what Ray added to its worker."""

import os


def engine_env(wanted: dict[str, str]) -> dict[str, str]:
    """RAY_* could make a child join the cluster, and shows it our token. OMP_NUM_THREADS is Ray's own idea."""
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith("RAY_") and name != "OMP_NUM_THREADS"
    }
    return {**inherited, **wanted}
