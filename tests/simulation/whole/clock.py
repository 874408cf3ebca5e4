"""Virtual time, which is the engine of events too: it moves when no task can run.

Trio asks `deadline_to_sleep_time` only then, so that is the moment to go on to what comes first:
the next deadline of a task or the next event (a packet arrives, a disk is done).
"""

import heapq
import math
from collections.abc import Callable

import trio


class SimClock(trio.abc.Clock):
    """Seconds since the start of the run."""

    def __init__(self) -> None:
        self._now = 0.0
        self._order = 0
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self.events = 0
        """How many events have happened."""

    def start_clock(self) -> None:
        """Nothing to start."""

    def current_time(self) -> float:
        """Virtual seconds."""
        return self._now

    def call_at(self, at: float, event: Callable[[], None]) -> None:
        """Have something happen at a moment; at equal moments, in the order of asking."""
        self._order += 1
        heapq.heappush(self._events, (max(at, self._now), self._order, event))

    def call_later(self, delay_s: float, event: Callable[[], None]) -> None:
        """Have something happen after a while."""
        self.call_at(self._now + delay_s, event)

    def deadline_to_sleep_time(self, deadline: float) -> float:
        """Move on; there is never anything to sleep for."""
        events = self._events
        if events and events[0][0] <= deadline:
            self._now = events[0][0]
            while events and events[0][0] <= self._now:
                self.events += 1
                heapq.heappop(events)[2]()
            return 0.0
        if deadline == math.inf:
            return 0.0  # all wait for ever: whoever counts turns will notice
        self._now = max(self._now, deadline)
        return 0.0
