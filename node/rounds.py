"""Proposals under way: their ids, sending and sending again until our own apply tells the outcome.

A proposal may be lost with a leader, or answered too late; nothing says so. It is sent again,
unchanged and under the same id, with growing pauses and never all at once, until this node
applies it. Apply gives every copy the same outcome, so sending twice does no harm.

A process registers a boot epoch through the log before its first proposal. From then on whatever
an earlier process of this replica left on the way is fenced; and if somebody else registers after
us, there are two processes of one identity, and this one must stop.
"""

import math
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import trio

from node.machine import Machine
from protocols.ports import Clock
from storage.apply import Applied, Outcome
from storage.batch import ProposalId, Registration, encode_registration

MIB: Final = 1024 * 1024

# A proposal without an outcome is sent again after this, and each time later.
RESEND_S: Final = 0.4
RESEND_S_MAX: Final = 1.0
RESEND_GROWTH: Final = 1.3
# What is sent again in one sweep; a healed cluster is not drowned by what waited for it.
RESEND_OCTETS_MAX: Final = 4 * MIB
# After a new leader is known, proposals are sent again spread over this.
NEW_LEADER_SPREAD_S: Final = 0.05
# A registration that has not come through is proposed again after this.
REGISTER_S: Final = 0.25
# Proposals without a known outcome, and their payloads: they stay, whoever has stopped waiting.
ROUNDS_MAX: Final = 1_024
ROUNDS_OCTETS_MAX: Final = 64 * MIB
# Ids given out since the oldest proposal without an outcome: apply remembers their outcomes.
WINDOW_MAX: Final = 8_192


class Fenced(Exception):
    """Another process has registered as this replica: two of one identity, or a copied disk."""


class ProposeLog(Protocol):
    """What is asked of consensus. Implemented by raft.driver."""

    def propose(self, payloads: Sequence[bytes]) -> None:
        """Hand payloads to the leader, in order if all goes well; they may be lost silently."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Who this process is in the log: see storage.batch.Registration."""

    replica: int
    node: str
    identity: bytes
    nonce: bytes


@dataclass(slots=True, eq=False)
class Round:
    """One proposal under way; `tell` is called once, from apply, with its outcome."""

    sequence: int
    payload: bytes
    tell: Callable[[Outcome], None]
    pause_s: float
    resend_at_s: float = math.inf
    """When it is sent again; not before it was sent once."""


class Rounds:
    """All proposals under way of this process."""

    def __init__(
        self,
        machine: Machine,
        log: ProposeLog,
        clock: Clock,
        chance: random.Random,
        origin: Origin,
    ) -> None:
        self._machine = machine
        self._log = log
        self._clock = clock
        # A generator of our own: the system's costs a call into the kernel for every proposal.
        self._chance = random.Random(chance.getrandbits(64))
        self._origin = origin
        self._rounds: dict[int, Round] = {}  # in order of sequence
        self._octets = 0  # of their payloads
        self._sequence = 1  # the next; 0 is the registration's
        self._changed = trio.lowlevel.ParkingLot()
        self.epoch = 0
        """Our registered boot epoch; 0 while there is none."""
        self.fenced = False
        """Another process has taken our identity: everything must stop."""
        machine.listen(self._on_applied)
        machine.listen_adopted(self._on_adopted)

    def __len__(self) -> int:
        return len(self._rounds)

    @property
    def closed(self) -> bool:
        """No proposal can be opened now: not registered yet, or too many are under way."""
        return (
            self.epoch == 0
            or len(self._rounds) >= ROUNDS_MAX
            or self._octets >= ROUNDS_OCTETS_MAX
            or self._sequence - self._ack_below >= WINDOW_MAX
        )

    @property
    def _ack_below(self) -> int:
        """We know the outcome of every sequence below this."""
        return next(iter(self._rounds), self._sequence)

    async def wait_open(self) -> None:
        """Block until a proposal can be opened. Open it before the next await."""
        while self.closed:
            await self._changed.park()

    def open(
        self,
        encode: Callable[[ProposalId, int], bytes],
        tell: Callable[[Outcome], None],
        *,
        resend_s: float = RESEND_S,
    ) -> Round:
        """A new proposal: `encode` makes its payload from its id and the acknowledged sequence.

        `send` it before the next await. Whatever `encode` raises leaves no proposal behind. It is
        sent again when it is without an outcome for about `resend_s`.
        """
        assert self.epoch > 0 and len(self._rounds) < ROUNDS_MAX  # cheaper than `closed`
        sequence = self._sequence
        pid = ProposalId(self._origin.replica, self.epoch, sequence)
        payload = encode(pid, self._ack_below)
        self._sequence += 1
        pause_s = resend_s * (0.75 + 0.5 * self._chance.random())
        opened = self._rounds[sequence] = Round(sequence, payload, tell, pause_s)
        self._octets += len(payload)
        return opened

    def send(self, rounds: Iterable[Round]) -> None:
        """Hand proposals to consensus."""
        payloads = []
        now_s = self._clock.monotonic_s()
        for round_ in rounds:
            round_.resend_at_s = now_s + round_.pause_s
            payloads.append(round_.payload)
        if payloads:
            self._log.propose(payloads)

    def resend_due(self) -> None:
        """Send again what has waited long enough for its outcome."""
        due: list[Round] = []
        now_s, octets = self._clock.monotonic_s(), 0
        for round_ in self._rounds.values():
            if round_.resend_at_s <= now_s:
                octets += len(round_.payload)
                if due and octets > RESEND_OCTETS_MAX:
                    break  # the rest is due at the next sweep
                due.append(round_)
                longer_s = round_.pause_s * RESEND_GROWTH * self._chance.uniform(0.8, 1.2)
                round_.pause_s = max(round_.pause_s, min(longer_s, RESEND_S_MAX))
        self.send(due)

    def leader_changed(self) -> None:
        """What the old leader had may be lost: send it all again soon, not at the same moment."""
        now_s = self._clock.monotonic_s()
        for round_ in self._rounds.values():
            soon_s = now_s + self._chance.uniform(0, NEW_LEADER_SPREAD_S)
            round_.resend_at_s = min(round_.resend_at_s, soon_s)

    async def register(self) -> None:
        """Register a boot epoch above every earlier one; waits until the cluster lets us."""
        origin = self._origin
        while True:
            held, nonce = self._machine.registered(origin.replica)
            if nonce == origin.nonce:
                self.epoch = held
                self._changed.unpark_all()
                return
            asked = Registration(
                origin.replica, held + 1, origin.node, origin.identity, origin.nonce
            )
            self._log.propose([encode_registration(asked)])
            if self._machine.registered(origin.replica) == (held, nonce):
                with trio.move_on_after(REGISTER_S * self._chance.uniform(0.75, 1.25)):
                    await self._changed.park()

    def _on_applied(self, results: Sequence[Applied]) -> None:
        replica = self._origin.replica
        for applied in results:
            pid = applied.pid
            if pid is None or pid.replica != replica:
                continue
            if pid.sequence == 0:
                self._on_registered()
            elif pid.epoch == self.epoch:
                self._resolve(pid.sequence, applied.outcome)
        if self._changed:  # somebody waits for room
            self._changed.unpark_all()

    def _on_adopted(self) -> None:
        """A snapshot brought us on: what was applied on the way is told by the state itself."""
        self._on_registered()
        for sequence in list(self._rounds):
            pid = ProposalId(self._origin.replica, self.epoch, sequence)
            outcome = self._machine.outcome(pid)
            if outcome is not None:
                self._resolve(sequence, outcome)
        self._changed.unpark_all()

    def _on_registered(self) -> None:
        self._changed.unpark_all()
        now = self._machine.registered(self._origin.replica)
        if self.epoch and now != (self.epoch, self._origin.nonce):
            self.fenced = True

    def _resolve(self, sequence: int, outcome: Outcome) -> None:
        if sequence not in self._rounds:
            return  # a second copy: the first one told the outcome
        if outcome is Outcome.FENCED:
            self.fenced = True
            return  # whether it was applied is no longer ours to say
        assert outcome is not Outcome.FORGOTTEN, sequence
        resolved = self._rounds.pop(sequence)
        self._octets -= len(resolved.payload)
        resolved.tell(outcome)
