import time

import pytest

from pdjob_agent.node.lease import Lease

from .processes import within


def test_a_lease_of_zero_never_lapses_and_another_lapses_once() -> None:
    lapses: list[str] = []
    for seconds, name in ((0.0, "never"), (0.05, "soon")):
        Lease(seconds, lambda name=name: lapses.append(name))
    assert within(5, lambda: lapses == ["soon"])


class Clock:
    """Time that a test moves, however slow the machine is."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, _seconds: float) -> None:
        time.sleep(0.005)


def test_a_lease_is_as_long_as_its_last_renewal_says_and_one_of_zero_turns_it_off(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = Clock()
    monkeypatch.setattr("pdjob_agent.node.lease.time", clock)
    lapses: list[str] = []
    turned_off = Lease(300, lambda: lapses.append("turned off"))
    raised = Lease(300, lambda: lapses.append("raised"))
    lowered = Lease(3600, lambda: lapses.append("lowered"))
    turned_on = Lease(0, lambda: lapses.append("turned on"))
    turned_off.renew(0)
    raised.renew(3600)
    lowered.renew(100)
    clock.now = 500
    assert within(5, lambda: lapses == ["lowered"])
    # It was off for longer than the lease that it gets now.
    turned_on.renew(300)
    clock.now = 799
    time.sleep(0.1)
    assert lapses == ["lowered"]
    clock.now = 801
    assert within(5, lambda: lapses == ["lowered", "turned on"])
