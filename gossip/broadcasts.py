"""What to tell next: a bounded queue of news that rides on every packet (SWIM 4.1).

There is at most one piece of news about a member, the newest. Of all news the least told goes
first, and each is dropped after `retransmit_mult * ceil(log10(n + 1))` sendings, by when nearly
everyone has heard it; exchanges of whole tables catch the rest.
"""

from dataclasses import dataclass

from gossip.config import GossipConfig
from gossip.messages import Claim
from gossip.model import ReplicaId
from gossip.wire import packed_bytes


@dataclass(slots=True)
class _News:
    claim: Claim
    size: int
    order: int
    sent: int = 0


class Broadcasts:
    """News by the member it is about."""

    __slots__ = ("_config", "_news", "_order")

    def __init__(self, config: GossipConfig) -> None:
        self._config = config
        self._news: dict[ReplicaId, _News] = {}
        self._order = 0

    def __len__(self) -> int:
        return len(self._news)

    def put(self, claim: Claim) -> None:
        """Queue news; older news about the same member is no longer worth telling."""
        self._order += 1
        self._news[claim.replica] = _News(claim, packed_bytes(claim), self._order)

    def take(self, room_bytes: int, *, members: int) -> list[Claim]:
        """Claims that fit into `room_bytes`, least told first, newest first among equals."""
        if not self._news:
            return []
        limit = self._config.retransmits(members)
        taken: list[Claim] = []
        for news in sorted(self._news.values(), key=lambda n: (n.sent, -n.order)):
            if news.size > room_bytes:
                continue
            room_bytes -= news.size
            taken.append(news.claim)
            news.sent += 1
            if news.sent >= limit:
                del self._news[news.claim.replica]
        return taken
