"""The probe round: one member an interval, directly, then through others and over a stream.

    0                 timeout                      interval
    |--- Ping ----------|--- PingReq x 3, stream ----|--- no answer by any way: Suspect
                                                        (all times * awareness, see there)

Members are taken in a shuffled round (SWIM 4.3), so each is probed within one round whatever chance
does. This file also holds the other side of a PingReq: pings we relay for others.
The direct wait is not stretched by awareness, only the whole: asking others early costs packets,
waiting for them long costs nothing (as memberlist does).
"""

from dataclasses import dataclass, field
from typing import Final

from gossip.awareness import Awareness
from gossip.config import GossipConfig
from gossip.members import Table
from gossip.messages import Ack, Message, Nack, Ping, PingReq
from gossip.model import Address, Chance, Member, ReplicaId

SEQ_MAX: Final = 2**32

# Pings we relay at one time; more is refused by silence, which the asker takes for our ill health.
RELAYS_MAX: Final = 256


@dataclass(frozen=True, slots=True)
class Steps:
    """What a probe wants done now."""

    sends: list[tuple[Address, Message]] = field(default_factory=list)
    streams: list[tuple[Address, Ping]] = field(default_factory=list)
    failed: list[Member] = field(default_factory=list)
    """Members to accuse."""


@dataclass(slots=True)
class _Probe:
    target: Member
    seq: int
    ask_at_ms: int
    silent: set[ReplicaId] = field(default_factory=set)
    """Those we asked to ping for us, less those who said Nack."""
    others_asked: bool = False
    had_help: bool = False
    answered: bool = False


@dataclass(slots=True)
class _Relay:
    asker: Address
    asker_seq: int
    target: ReplicaId
    nack_at_ms: int
    end_at_ms: int
    nacked: bool = False


class Prober:
    """Our probe of the moment, and the relays we run for others."""

    __slots__ = ("_chance", "_config", "_own", "_probe", "_relays", "_round", "_seq", "next_at_ms")

    def __init__(
        self, config: GossipConfig, own: ReplicaId, chance: Chance, *, now_ms: int
    ) -> None:
        self._config = config
        self._own = own
        self._chance = chance
        self._round: list[ReplicaId] = []
        self._probe: _Probe | None = None
        self._relays: dict[int, _Relay] = {}
        self._seq = int(chance.random() * SEQ_MAX)
        # A random start keeps nodes started together from probing in step.
        self.next_at_ms = now_ms + int(chance.random() * config.probe_interval_ms)

    def tick(self, table: Table, awareness: Awareness, now_ms: int) -> Steps:
        """Everything that is due."""
        steps = Steps()
        self._tick_relays(steps, now_ms)
        self._tick_probe(steps, table, awareness, now_ms)
        if now_ms >= self.next_at_ms:
            self._finish(steps, awareness)
            self._begin(steps, table, awareness, now_ms)
        return steps

    def deadline_ms(self) -> int:
        """When `tick` next has work."""
        due = [self.next_at_ms]
        due += [r.end_at_ms if r.nacked else r.nack_at_ms for r in self._relays.values()]
        probe = self._probe
        if probe and not probe.answered and not probe.others_asked:
            due.append(probe.ask_at_ms)
        return min(due)

    def hear_ack(self, ack: Ack, awareness: Awareness) -> tuple[Address, Message] | None:
        """An answer: to our probe, or to be passed to whoever we relayed for."""
        probe = self._probe
        if probe and probe.seq == ack.seq and probe.target.replica == ack.sender:
            if not probe.answered:
                probe.answered = True
                awareness.add(-1)
            return None
        relay = self._relays.get(ack.seq)
        if relay is None or relay.target != ack.sender:
            return None  # late, or never asked for
        del self._relays[ack.seq]
        return relay.asker, Ack(relay.asker_seq, ack.sender)

    def hear_nack(self, nack: Nack) -> None:
        """A relay that is itself well, but got no answer either."""
        if self._probe and self._probe.seq == nack.seq:
            self._probe.silent.discard(nack.sender)

    def relay(self, request: PingReq, asker: Address, now_ms: int) -> tuple[Address, Ping] | None:
        """Ping for another member; nothing when too many ask at once."""
        if len(self._relays) >= RELAYS_MAX:
            return None
        seq = self._next_seq()
        wait_ms = self._config.probe_timeout_ms
        self._relays[seq] = _Relay(
            asker,
            request.seq,
            request.target,
            # Sooner than the asker gives up, or the Nack would come too late to count.
            nack_at_ms=now_ms + wait_ms * 4 // 5,
            end_at_ms=now_ms + wait_ms * 4,
        )
        return (request.host, request.port), Ping(seq, self._own, request.target)

    def excuse(self, now_ms: int) -> None:
        """We were not running: what we waited for may have come and gone, so judge nobody by it."""
        self._probe = None
        self._relays.clear()
        self.next_at_ms = now_ms + self._config.probe_timeout_ms

    def _tick_relays(self, steps: Steps, now_ms: int) -> None:
        for seq, relay in list(self._relays.items()):
            if not relay.nacked and now_ms >= relay.nack_at_ms:
                relay.nacked = True
                steps.sends.append((relay.asker, Nack(relay.asker_seq, self._own)))
            if now_ms >= relay.end_at_ms:
                del self._relays[seq]

    def _tick_probe(self, steps: Steps, table: Table, awareness: Awareness, now_ms: int) -> None:
        probe = self._probe
        if probe is None or probe.answered or probe.others_asked or now_ms < probe.ask_at_ms:
            return
        probe.others_asked = True
        target = probe.target
        others = [m for m in table.up() if m.replica != target.replica]
        others = self._chance.sample(others, min(self._config.indirect_probes, len(others)))
        probe.had_help = bool(others)
        probe.silent = {other.replica for other in others}
        request = PingReq(probe.seq, self._own, target.replica, target.host, target.port)
        steps.sends.extend((other.address, request) for other in others)
        steps.streams.append((target.address, Ping(probe.seq, self._own, target.replica)))

    def _finish(self, steps: Steps, awareness: Awareness) -> None:
        probe, self._probe = self._probe, None
        if probe is None or probe.answered:
            return
        # Those we asked and did not hear from at all say more about us than about the target.
        awareness.add(len(probe.silent) if probe.had_help else 1)
        steps.failed.append(probe.target)

    def _begin(self, steps: Steps, table: Table, awareness: Awareness, now_ms: int) -> None:
        interval_ms = awareness.stretch(self._config.probe_interval_ms)
        self.next_at_ms = now_ms + interval_ms
        target = self._next_target(table)
        if target is None:
            return
        seq = self._next_seq()
        self._probe = _Probe(target, seq, now_ms + self._config.probe_timeout_ms)
        steps.sends.append((target.address, Ping(seq, self._own, target.replica)))

    def _next_target(self, table: Table) -> Member | None:
        for _ in range(2):  # the rest of this round, then a whole new one
            while self._round:
                member = table.get(self._round.pop())
                if member and member.status.is_up:
                    return member
            self._round = [m.replica for m in table.up()]
            self._chance.shuffle(self._round)
        return None

    def _next_seq(self) -> int:
        self._seq = (self._seq + 1) % SEQ_MAX
        return self._seq
