"""The clock of a real node goes with Trio's, so virtual time reaches whoever holds it."""

import time

import trio
import trio.testing

from node.clock import SystemClock


async def test_time_passed_is_trios(autojump_clock: trio.testing.MockClock) -> None:
    clock = SystemClock()
    began = clock.monotonic_s()
    await trio.sleep(60)
    assert clock.monotonic_s() - began == 60


def test_time_of_day_is_in_milliseconds() -> None:
    assert abs(SystemClock().now_ms() - time.time() * 1000) < 60_000
