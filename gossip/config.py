"""Intervals and multipliers of the failure detector, each with its formula and its cost."""

from dataclasses import dataclass
from math import ceil, log2, log10
from typing import Final

SEAL_BYTES_MAX: Final = 64
"""Room kept in each packet for its seal."""

PACKET_BYTES_MIN: Final = 1200
"""Room for a ping, the seal and the largest claim together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GossipConfig:
    """How eagerly members watch each other; the defaults suit a local network."""

    probe_interval_ms: int = 250
    """One member is probed each interval. Less: faster detection, more packets."""

    probe_timeout_ms: int = 125
    """Wait for a direct answer before asking others; well above the slowest usual round trip."""

    indirect_probes: int = 3
    """Members asked to probe for us."""

    suspicion_mult: int = 4
    """Shortest suspicion = mult * max(1, log10(n)) * probe_interval."""

    suspicion_max_mult: int = 6
    """Longest suspicion (nobody else agrees) = shortest * this."""

    awareness_max: int = 8
    """Our own ill health stretches our timeouts at most this many times."""

    gossip_interval_ms: int = 200
    """How often news is told when there is news."""

    gossip_fanout: int = 3
    """Members told each time."""

    retransmit_mult: int = 4
    """Each piece of news is sent mult * ceil(log10(n + 1)) times."""

    push_pull_interval_ms: int = 30_000
    """Whole tables are compared this often, seldomer beyond 32 members (log2)."""

    dead_gossip_ms: int = 30_000
    """The dead are told news this long, so that one wrongly buried hears of it and objects."""

    dead_forget_ms: int = 24 * 3_600_000
    """The dead leave the table after this long."""

    seed_retry_ms: int = 3_000
    """Seeds that are no living members, and the dead while we know them, are called this often
    (half to one and a half of it), some at a time; seeds for ever."""

    conflict_told_ms: int = 60_000
    """A conflict over a name is told this often while it lasts."""

    exchange_timeout_ms: int = 5_000
    """Longest wait for the other side of a stream exchange."""

    packet_bytes_max: int = 1_400
    """Largest datagram, seal included; fits an Ethernet frame with IPv6 and a tunnel's header."""

    members_max: int = 1_024
    """Largest table; also bounds the news queue and the size of an exchange (under 1 MiB)."""

    def __post_init__(self) -> None:
        """Refuse a detector that could not work."""
        for name in self.__slots__:
            if getattr(self, name) < 1:
                raise ValueError(f"gossip.{name} must be at least 1")
        if self.probe_timeout_ms >= self.probe_interval_ms:
            raise ValueError("gossip.probe_timeout_ms must be below gossip.probe_interval_ms")
        if not PACKET_BYTES_MIN <= self.packet_bytes_max <= 65_000:
            raise ValueError(f"gossip.packet_bytes_max must be {PACKET_BYTES_MIN} to 65000")

    def suspicion_min_ms(self, members: int) -> int:
        """Shortest time a member stays suspect (SWIM 4.2)."""
        return int(self.suspicion_mult * max(1.0, log10(members)) * self.probe_interval_ms)

    def suspicion_max_ms(self, members: int) -> int:
        """Longest time, when no one else accuses it (Lifeguard, dogpile)."""
        return self.suspicion_min_ms(members) * self.suspicion_max_mult

    def confirmations_wanted(self, members: int) -> int:
        """Independent accusers that make the wait shortest; none in a cluster too small for it."""
        wanted = self.suspicion_mult - 2
        return wanted if wanted > 0 and members - 2 >= wanted else 0

    def retransmits(self, members: int) -> int:
        """How often one piece of news is sent (SWIM 4.1)."""
        return self.retransmit_mult * ceil(log10(members + 1))

    def push_pull_ms(self, members: int) -> int:
        """Interval between exchanges, stretched in large clusters to bound their total."""
        stretch = 1 if members <= 32 else ceil(log2(members) - log2(32)) + 1
        return self.push_pull_interval_ms * stretch
