"""Probing a process until it ends: refused → starting, answered → healthy, several failures after that → unhealthy."""

import http.client
import socket
import threading
from collections.abc import Callable

FAILURES_MAX = 3
# An engine that boots refuses at once, so asking often costs nothing and it serves sooner.
BOOT_INTERVAL_S = 0.1


class Prober:
    """Calls `probe` every `interval_s` in a thread. `state` is starting, healthy or unhealthy."""

    def __init__(
        self,
        probe: Callable[[], bool],
        interval_s: float,
        failures_max: int = FAILURES_MAX,
        boot_interval_s: float = BOOT_INTERVAL_S,
    ) -> None:
        self.state = "starting"
        self._boot_interval_s = min(interval_s, boot_interval_s)
        self._failures_max = failures_max
        self._probe = probe
        self._interval_s = interval_s
        self._stopped = threading.Event()
        threading.Thread(target=self._run, daemon=True).start()

    def stop(self) -> None:
        self._stopped.set()

    def _run(self) -> None:
        failures = 0
        while not self._stopped.wait(self._boot_interval_s if self.state == "starting" else self._interval_s):
            if self._probe():
                failures = 0
                self.state = "healthy"
            else:
                failures += 1
                if self.state == "healthy" and failures >= self._failures_max:
                    self.state = "unhealthy"


def answers_http(host: str, port: int, path: str, timeout_s: float) -> bool:
    """True for status 200. Anything else, refusal included, is False."""
    connection = http.client.HTTPConnection(host, port, timeout=timeout_s)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def accepts_tcp(host: str, port: int, timeout_s: float) -> bool:
    try:
        socket.create_connection((host, port), timeout=timeout_s).close()
    except OSError:
        return False
    return True
