"""The clock of a real node: ports.Clock over the wall clock and Trio's own.

`monotonic_s` is Trio's time, so deadlines and what doors measure agree, under a virtual clock too.
Parts take a clock as an argument; nothing but the house imports this.
"""

import time

import trio


class SystemClock:
    """ports.Clock of this machine."""

    def now_ms(self) -> int:
        """Milliseconds since 1970 UTC."""
        return time.time_ns() // 1_000_000

    def monotonic_s(self) -> float:
        """Seconds on a clock that never goes back."""
        return trio.current_time()
