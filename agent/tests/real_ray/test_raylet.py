# pyright: basic
"""The agent's own process, and the raylet that it joined by."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from pdjob_agent.joining import LEFT

from ..processes import within
from ..ray_rig import START_S, LocalRay
from .test_token import AGENT, greeting

pytestmark = pytest.mark.ray
# Longer than it looks at the GCS in vain before it leaves for that.
IDLE_S = 8
LEAVES_WITHIN_S = 30


@pytest.fixture
def own_ray() -> Iterator[LocalRay]:
    rig = LocalRay()
    yield rig
    rig.stop()


def test_an_agent_leaves_with_the_raylet_that_it_joined_by_and_not_before(own_ray: LocalRay) -> None:
    assert within(START_S, lambda: "hello" in greeting(own_ray.address, {"RAY_AUTH_MODE": "disabled"}))
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    agent = subprocess.Popen(
        [sys.executable, "-m", "pdjob_agent", "--address", own_ray.address],
        env={**inherited, "RAY_AUTH_MODE": "disabled", "PYTHONPATH": AGENT},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert agent.stdout is not None and agent.stderr is not None
        assert "hello" in json.loads(agent.stdout.readline())
        with pytest.raises(subprocess.TimeoutExpired):
            agent.wait(IDLE_S)
        os.kill(own_ray.raylet(), signal.SIGKILL)
        code = agent.wait(LEAVES_WITHIN_S)
        said = agent.stderr.read().splitlines()
        assert (code, said[-1]) == (LEFT, "the raylet by which this agent joined has ended: leaving")
    finally:
        agent.kill()
