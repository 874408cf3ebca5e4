"""Timing and limits of consensus, checked when built.

All times are milliseconds. Defaults suit a local network and two busy cores.
"""

from dataclasses import dataclass

from raft.model import KIB, MIB


class BadConfig(ValueError):
    """Two settings contradict each other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RaftConfig:
    """How fast a replica suspects, and how much it holds.

    Detection takes between election_ms_min and election_ms_max after the last heartbeat; a broken
    connection (`Driver.peer_lost`) shortens it to about two heartbeats. election_ms_min must
    cover at least two heartbeats, or one lost packet unseats a leader.

    - heartbeat_ms: pause between heartbeats; messages a second = peers * 1000 / heartbeat_ms.
    - election_ms_min, election_ms_max: a follower campaigns after a random pause between them;
      election_ms_min is also the lease in which votes are refused (thesis 4.2.3) and how long a
      leader's disk may stay behind a majority's; a leader without a quorum for
      election_ms_max steps down.
    - tick_ms: the driver looks at the clock no more often; deadlines are late by at most this,
      or by heartbeat_ms when they moved to an earlier time.
    - entry_bytes_max: largest encoded entry; must fit in append_bytes_max.
    - append_bytes_max: entries in one Append message; one message more than needed is sent when
      a single entry is larger.
    - inflight_messages_max, inflight_bytes_max: sent to one follower and not yet acknowledged;
      throughput to a follower <= inflight_bytes_max / round trip.
    - uncommitted_bytes_max: what a leader holds that no majority has; beyond it proposals are
      refused, so a lost quorum cannot fill memory.
    - window_bytes_max: newest entries kept in memory, though durable and committed; older ones
      are read back from the disk. It fills with any traffic and stays full.
    - trailing_bytes: newest part of the log that is kept although the state machine has it; a
      follower that was away for less than this needs no snapshot. A restart reads this much.
    - held_bytes_max: what the log keeps at most for a live follower that is behind, or while it
      fetches a snapshot.
    - apply_entries_max, apply_bytes_max: one call of StateMachine.apply.
    - inbox_messages_max, inbox_bytes_max: messages received and not yet handled; more are dropped.
    - promote_lag_max: a learner becomes a voter only when at most this many entries behind the
      commit index, or it would be counted on before it can answer.
    - transfer_lag_max: a leader hands over only to a follower at most this many entries behind.
    """

    heartbeat_ms: int = 75
    election_ms_min: int = 400
    election_ms_max: int = 800
    tick_ms: int = 15
    entry_bytes_max: int = MIB
    append_bytes_max: int = 512 * KIB
    inflight_messages_max: int = 64
    inflight_bytes_max: int = 8 * MIB
    uncommitted_bytes_max: int = 64 * MIB
    window_bytes_max: int = 4 * MIB
    trailing_bytes: int = 64 * MIB
    held_bytes_max: int = 1024 * MIB
    apply_entries_max: int = 256
    apply_bytes_max: int = 4 * MIB
    inbox_messages_max: int = 4096
    inbox_bytes_max: int = 64 * MIB
    promote_lag_max: int = 1_000
    transfer_lag_max: int = 10_000

    def __post_init__(self) -> None:
        """Refuse what cannot work."""
        for name in self.__slots__:
            if getattr(self, name) <= 0:
                raise BadConfig(f"{name} must be greater than 0")
        if not 2 * self.heartbeat_ms <= self.election_ms_min < self.election_ms_max:
            raise BadConfig("two heartbeats must fit in election_ms_min < election_ms_max")
        if self.tick_ms > self.heartbeat_ms:
            raise BadConfig("tick_ms must not be longer than heartbeat_ms")
        if self.trailing_bytes > self.held_bytes_max:
            raise BadConfig("trailing_bytes must not be more than held_bytes_max")
        if self.entry_bytes_max > self.uncommitted_bytes_max:
            raise BadConfig("one entry must fit in uncommitted_bytes_max")
        if self.entry_bytes_max > self.inbox_bytes_max:
            raise BadConfig("one entry must fit in inbox_bytes_max")
