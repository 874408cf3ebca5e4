"""What the proposer and the read barriers ask of consensus, in raft's own terms underneath.

Silence is the answer to everything that may pass by itself: a proposal without a leader is lost
and sent again by who made it, a read without a leader waits until there is one. Who asked has
deadlines of its own.
"""

from collections.abc import Sequence
from typing import Final

import trio

from raft import Driver, EntryTooLarge, NoLeader, ReadTimeout, TooBusy

# One question to the leader; the barrier's own round limit is shorter than this in practice.
READ_S: Final = 2.0
# Without a leader we look again after this.
LEADERLESS_S: Final = 0.02


class Consensus:
    """Implements proposer.ProposeLog and reads.ReadLog."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver

    def propose(self, payloads: Sequence[bytes]) -> None:
        """Hand payloads to the leader in order; they may be lost silently."""
        try:
            self._driver.propose(*payloads)
        except (NoLeader, TooBusy):
            return  # the proposer sends again what has no outcome
        except EntryTooLarge as error:
            # Batches are bounded well below raft's entries (storage.batch): a bug of ours.
            raise AssertionError("a batch is larger than an entry may be") from error

    @property
    def known_index(self) -> int | None:
        """What read_index would say, when nobody has to be asked."""
        return self._driver.known_index

    async def read_index(self) -> int:
        """An index at or above every entry committed before the call."""
        while True:
            try:
                return await self._driver.read_index(timeout_s=READ_S)
            except NoLeader:
                await trio.sleep(LEADERLESS_S)
            except ReadTimeout:
                continue
