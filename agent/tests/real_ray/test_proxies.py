# pyright: basic
"""External proxies on a real Ray cluster."""

import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from pdjob_agent.errors import AgentError

from ..processes import within
from ..ray_rig import free_port
from .agent import Agent

pytestmark = pytest.mark.ray


def test_an_external_proxy_is_up_when_its_port_answers_and_seen_when_it_ends(agent: Agent, tmp_path: Path) -> None:
    port = free_port()
    proxy: dict[str, Any] = {"name": "a-proxy-g1", "env": {}, "cwd": str(tmp_path), "host": "0.0.0.0", "port": port}
    proxy |= {"builtin": False, "files": [], "specHash": "p", "leaseS": 0, "startTimeoutS": 10}
    proxy |= {"argv": [sys.executable, "-m", "http.server", str(port)]}
    status = agent("ensureProxy", **proxy)
    assert (status["state"], status["port"]) == ("healthy", port)
    assert agent("ensureProxy", **proxy)["pid"] == status["pid"]
    assert agent.code_of("setMembership", name="a-proxy-g1", membership={}) == "BadRequest"
    assert agent.code_of("ensureProxy", **{**proxy, "name": "b-proxy-g1"}) == "ProxyNotStarted"
    os.kill(status["pid"], signal.SIGKILL)
    assert within(5, lambda: agent("list", job="a")["proxies"][0]["state"] == "exited")
    assert agent("stopProxy", name="a-proxy-g1", graceS=1) == {"stopped": True}


def test_an_external_proxy_is_told_by_its_file_or_by_requests_and_its_owner_remembers(
    agent: Agent, tmp_path: Path
) -> None:
    port = free_port()
    member = {"name": "a-decode-0-g1", "role": "decode", "url": "http://10.0.0.1:8"}
    calls = {"add": {"method": "POST", "url": "/add", "headers": {}, "accept": []}}
    by_file = {"kind": "file", "path": "conf/members", "text": "one"}
    by_http = {"kind": "http", "calls": [{"name": member["name"], **calls}]}
    # It starts only where its file is already.
    serve = f"cat conf/members && exec {sys.executable} -m http.server {port}"
    proxy: dict[str, Any] = {"name": "a-proxy-g1", "env": {}, "cwd": str(tmp_path), "host": "0.0.0.0", "port": port}
    proxy |= {"builtin": False, "files": [], "specHash": "p", "leaseS": 0, "startTimeoutS": 10}
    proxy |= {"argv": ["bash", "-ec", serve], "membership": {"generation": 0, "members": []}, "telling": by_file}
    assert agent("ensureProxy", **proxy)["membership"] == {"generation": 0, "members": []}
    told = {"name": "a-proxy-g1", "membership": {"generation": 4, "members": [member]}}
    assert agent("setMembership", **told, telling={**by_file, "text": "two"}) == {"acknowledged": 4}
    assert (tmp_path / "conf" / "members").read_text() == "two"
    assert agent("list", job="a")["proxies"][0]["membership"] == told["membership"]
    assert agent.code_of(
        "setMembership", **{**told, "membership": {"generation": 3, "members": []}}, telling=by_file
    ) == ("StaleGeneration")
    agent("stopProxy", name="a-proxy-g1", graceS=1)
    agent("ensureProxy", **{**proxy, "name": "a-proxy-g2", "telling": by_http})
    with pytest.raises(AgentError) as caught:
        agent("setMembership", **{**told, "name": "a-proxy-g2"}, telling=by_http)
    assert caught.value.code == "MembershipRefused"
    assert f":{port}/add for a-decode-0-g1 was answered 501" in caught.value.message
    assert agent("list", job="a")["proxies"][0]["membership"] == {"generation": 4, "members": []}
    assert agent("stopProxy", name="a-proxy-g2", graceS=1) == {"stopped": True}
