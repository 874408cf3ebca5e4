"""When a suspect is dead (SWIM 4.2, with Lifeguard's dogpile).

One accuser may itself be the broken one, so the wait starts long and each further, independent
accuser shortens it: wait = max - (max - min) * log(c + 1) / log(k + 1) for c of k confirmations.
A suspicion belongs to one incarnation: a timer that outlived its incarnation must never bury the
member that came back.

A rumour reaches nearly everybody, and so does the refutation of it: of a hundred thousand times one
does not, and a wait that only ends by rumour then ends in a false death. So whoever is about to
declare one first asks the suspect itself, twice, since packets get lost: the answer is direct.
"""

from math import log
from typing import Final

from gossip.config import GossipConfig
from gossip.model import Incarnation, ReplicaId

APPEALS: Final = 2
"""Times the suspect itself is asked before its time is over."""

APPEAL_INTERVALS: Final = 2
"""Probe intervals before the end of its time, and between the times it is asked."""


class Suspicion:
    """The case against one member at one incarnation."""

    __slots__ = (
        "_accusers",
        "_appeal_ms",
        "_appeals_left",
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
        self._appeals_left = APPEALS
        self._appeal_ms = APPEAL_INTERVALS * config.probe_interval_ms
        self._wanted = config.confirmations_wanted(members)
        self.min_ms = config.suspicion_min_ms(members)
        # With nobody there who could confirm, waiting for confirmation would only be slow.
        self.max_ms = config.suspicion_max_ms(members) if self._wanted else self.min_ms
        self.deadline_ms = self._deadline_ms()
        """When the member is to be declared dead, as things stand."""

    @property
    def due_ms(self) -> int:
        """When there is something to do: ask the suspect, or declare it dead."""
        return self.deadline_ms - self._appeals_left * self._appeal_ms

    def take_appeal(self, now_ms: int) -> bool:
        """Whether the suspect is to be asked now."""
        if self._appeals_left == 0 or now_ms < self.due_ms:
            return False
        self._appeals_left -= 1
        return True

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
