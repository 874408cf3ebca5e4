"""The leader's view of one follower: what it has, what is on its way, and how to send.

PROBE      its log is not known yet: one Append at a time, next to be confirmed or refused
REPLICATE  its log matches: Appends follow each other without waiting, within a window
SNAPSHOT   it needs entries that no longer exist: offered a snapshot until it says that it has one

Invariant: match < next, and entries in (match, next) are on their way.

A window of Appends that lost its first is refused as often as it has others. Only the first refusal
begins anew; if each did, and the network reorders, every one would put another window on its way,
whose Appends are refused in turn: a storm that feeds itself.
"""

from collections import deque
from dataclasses import dataclass, field
from enum import Enum, auto

from raft.model import Index, ReplicaId


class Sending(Enum):
    """How the leader sends to one follower."""

    PROBE = auto()
    REPLICATE = auto()
    SNAPSHOT = auto()


@dataclass(slots=True)
class Progress:
    """One follower, in one term of this leader."""

    replica: ReplicaId
    next: Index
    heard_ms: int
    match: Index = 0
    sending: Sending = Sending.PROBE
    probe_sent: bool = False
    acked_round: int = 0
    told_commit: Index = 0
    match_at_heartbeat: Index = 0
    refused_upto: Index = 0  # a refusal of what was sent up to here may tell of an earlier window
    inflight: deque[tuple[Index, int]] = field(default_factory=deque)
    inflight_bytes: int = 0

    def may_send(self, messages_max: int, bytes_max: int) -> bool:
        """Whether another Append fits into the window."""
        match self.sending:
            case Sending.PROBE:
                return not self.probe_sent
            case Sending.REPLICATE:
                return len(self.inflight) < messages_max and self.inflight_bytes < bytes_max
            case Sending.SNAPSHOT:
                return False

    def sent(self, last: Index, size: int) -> None:
        """An Append whose last entry is `last` has left."""
        if self.sending is Sending.PROBE:
            self.probe_sent = True
            return
        assert last >= self.next, (last, self)
        self.next = last + 1
        self.inflight.append((last, size))
        self.inflight_bytes += size

    def acknowledged(self, match: Index) -> bool:
        """The follower has everything up to `match`; says whether that is news."""
        while self.inflight and self.inflight[0][0] <= match:
            self.inflight_bytes -= self.inflight.popleft()[1]
        is_news = match > self.match
        if is_news:
            self.match = match
        if self.sending is not Sending.REPLICATE and match >= self.match:
            self.sending = Sending.REPLICATE
            self.next = self.match + 1
        self.next = max(self.next, self.match + 1)
        return is_news

    def refused(self, rejected: Index, agreed_at_most: Index) -> bool:
        """The follower lacks the entry at `rejected`; probe from the hint. False: old news."""
        if self.sending is Sending.PROBE:
            if rejected != self.next - 1:
                return False
            if rejected <= self.match:
                # It lacks what it had acknowledged: its disk was damaged, and nobody told us.
                self._forget_what_it_had()
        elif rejected <= max(self.match, self.refused_upto):
            return False
        else:
            self.refused_upto = self.next - 1
        self.probe_from(max(self.match + 1, min(rejected, agreed_at_most + 1)))
        return True

    def stands_still(self) -> None:
        """It has not moved for a heartbeat: what it refuses from here on counts again."""
        self.refused_upto = 0

    def restart(self) -> None:
        """The follower's process may be another one: only what it says now counts.

        It is sent the last entry again, so that there is something for it to answer.
        """
        self._forget_what_it_had()
        self.probe_from(max(1, self.next - 1))

    def _forget_what_it_had(self) -> None:
        self.match = 0
        self.told_commit = self.refused_upto = 0

    def probe_from(self, index: Index) -> None:
        """Forget what is on its way and ask again, one message at a time."""
        self.sending = Sending.PROBE
        self.next = index
        self.probe_sent = False
        self.inflight.clear()
        self.inflight_bytes = 0
