"""How well we ourselves are, and how that stretches our patience (Lifeguard, local health).

A node short of CPU or behind a bad link misses answers that were sent in time. It notices by signs
that point at itself: failed probes, third parties whose Nack did not come, being accused. Each sign
raises a score, each success lowers it, and our probe timeouts are multiplied by score + 1.
"""

from gossip.config import GossipConfig


class Awareness:
    """A score from 0, healthy, to `awareness_max - 1`."""

    __slots__ = ("_max", "score")

    def __init__(self, config: GossipConfig) -> None:
        self._max = config.awareness_max - 1
        self.score = 0

    def add(self, signs: int) -> None:
        """Note bad signs, or good ones when negative."""
        self.score = min(max(0, self.score + signs), self._max)

    def stretch(self, wait_ms: int) -> int:
        """A wait as long as our health asks for."""
        return wait_ms * (self.score + 1)
