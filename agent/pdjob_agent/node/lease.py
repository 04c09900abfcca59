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
        self._lapse = lapse
        self.renew(seconds)
        threading.Thread(target=self._run, daemon=True).start()

    def renew(self, seconds: float) -> None:
        # At once: one that was off, or longer, must not be judged by when that was renewed last.
        self._renewed = (time.monotonic(), seconds)

    def _run(self) -> None:
        while True:
            time.sleep(CHECK_S)
            at, seconds = self._renewed
            if seconds > 0 and time.monotonic() - at > seconds:
                self._lapse()
                return
