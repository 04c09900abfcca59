"""A lease: whoever holds GPUs for an orchestrator gives them back when it has been gone for too long."""

import threading
import time
from collections.abc import Callable

CHECK_S = 1.0
# Of the engine or proxy that a lapse stops.
LAPSE_GRACE_S = 30.0


class Lease:
    """
    Calls `lapse` once when `renew` was not called for `seconds`; 0 = never. The seconds are those of the last renewal.
    Uses the monotonic clock.
    """

    def __init__(self, seconds: float, lapse: Callable[[], None]) -> None:
        self._seconds = seconds
        self._lapse = lapse
        self._renewed = time.monotonic()
        threading.Thread(target=self._run, daemon=True).start()

    def renew(self, seconds: float) -> None:
        # In this order: one that was off, or longer, must not be judged by when that was renewed last.
        self._renewed = time.monotonic()
        self._seconds = seconds

    def _run(self) -> None:
        while True:
            time.sleep(CHECK_S)
            if self._seconds > 0 and time.monotonic() - self._renewed > self._seconds:
                self._lapse()
                return
