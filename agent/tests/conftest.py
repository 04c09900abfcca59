"""Order of the tests, and what several files start."""

import os
from pathlib import Path

import pytest

from .trees import Tree

REAL_RAY = Path(__file__).parent / "real_ray"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Those with real Ray come last.

    Once an actor was made of our code, Ray runs copies of our functions in this process as well, which do not see what
    a test puts in place of a module's name.
    """
    items.sort(key=lambda item: REAL_RAY in item.path.parents)


@pytest.fixture
def tree(request: pytest.FixtureRequest, tmp_path: Path) -> Tree:
    return Tree(f"t-{os.getpid()}-{request.node.name}", tmp_path)
