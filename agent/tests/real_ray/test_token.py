# pyright: basic
"""A real Ray cluster that asks for a token."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ..processes import within
from ..ray_rig import START_S, LocalRay

pytestmark = pytest.mark.ray
AGENT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def test_a_cluster_with_token_authentication(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("x" * 32)
    auth = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token)}
    rig = LocalRay(auth)
    try:
        assert within(START_S, lambda: "hello" in greeting(rig.address, auth))
        refused = greeting(rig.address, {**auth, "RAY_AUTH_TOKEN_PATH": str(tmp_path / "missing")})
        assert (refused["fatal"]["class"], refused["fatal"]["code"]) == ("fatal", "AuthDenied")
        assert "RAY_AUTH_TOKEN_PATH" in refused["fatal"]["message"]
    finally:
        rig.stop()


def greeting(address: str, env: dict[str, str]) -> dict[str, Any]:
    command = [sys.executable, "-m", "pdjob_agent", "--address", address]
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    full = {**inherited, **env, "PYTHONPATH": AGENT}
    done = subprocess.run(command, env=full, input="", capture_output=True, text=True, timeout=60, check=False)
    return json.loads(done.stdout or '{"none":true}')
