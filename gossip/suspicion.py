"""When a suspect is dead (SWIM 4.2, with Lifeguard's dogpile).

One accuser may itself be the broken one, so the wait starts long and each further, independent
accuser shortens it: wait = max - (max - min) * log(c + 1) / log(k + 1) for c of k confirmations.
A suspicion belongs to one incarnation: a timer that outlived its incarnation must never bury the
member that came back.
"""

from math import log

from gossip.config import GossipConfig
from gossip.model import Incarnation, ReplicaId


class Suspicion:
    """The case against one member at one incarnation."""

    __slots__ = (
        "_accusers",
        "_since_ms",
        "_wanted",
        "deadline_ms",
        "incarnation",
        "max_ms",
        "min_ms",
    )

    def __init__(
        self,
        config: GossipConfig,
        *,
        incarnation: Incarnation,
        accuser: ReplicaId,
        members: int,
        now_ms: int,
    ) -> None:
        self.incarnation = incarnation
        self._since_ms = now_ms
        self._accusers = {accuser}
        self._wanted = config.confirmations_wanted(members)
        self.min_ms = config.suspicion_min_ms(members)
        # With nobody there who could confirm, waiting for confirmation would only be slow.
        self.max_ms = config.suspicion_max_ms(members) if self._wanted else self.min_ms
        self.deadline_ms = self._deadline_ms()
        """When the member is to be declared dead, as things stand."""

    def confirm(self, accuser: ReplicaId) -> bool:
        """Hear another accuser; whether it is a new one that counts, and so worth passing on."""
        if accuser in self._accusers or len(self._accusers) > self._wanted:
            return False
        self._accusers.add(accuser)
        self.deadline_ms = self._deadline_ms()
        return True

    def excuse(self, pause_ms: int) -> None:
        """Do not count time during which we ourselves were not running."""
        self._since_ms += pause_ms
        self.deadline_ms += pause_ms

    def _deadline_ms(self) -> int:
        if not self._wanted:
            return self._since_ms + self.min_ms
        share = log(len(self._accusers)) / log(self._wanted + 1)
        return self._since_ms + int(self.max_ms - (self.max_ms - self.min_ms) * min(1.0, share))
