"""The gossip core: `tick(now)`, `hear_packet(messages)` -> effects. No socket, no clock, no luck.

The core owns our own incarnation, the suspicions, and the rule of what to answer to which message;
which claim wins is in `members.py`, whom to probe in `probes.py`. Every method leaves what should
happen in `take_effects()` and what did happen in `take_events()`; a caller drains both after each
call and calls `tick` again no later than `next_deadline_ms()`.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

from gossip.awareness import Awareness
from gossip.broadcasts import Broadcasts
from gossip.config import SEAL_BYTES_MAX, GossipConfig
from gossip.effects import Effect, Exchange, Send
from gossip.identity import Identity, Own
from gossip.members import Table, Verdict, change_between, plausible
from gossip.messages import (
    Ack,
    Alive,
    Claim,
    Dead,
    Left,
    Message,
    Nack,
    Ping,
    PingReq,
    PushPull,
    Record,
    Suspect,
)
from gossip.model import (
    Address,
    Chance,
    Change,
    Incarnation,
    Member,
    MemberEvent,
    ReplicaId,
    Status,
)
from gossip.probes import Prober
from gossip.suspicion import Suspicion
from gossip.wire import packed_bytes

# A tick this many probe intervals late means that we were stopped (SIGSTOP, a frozen machine, a
# long collection): answers and refutations may lie unread, so nobody is judged by that time.
PAUSE_INTERVALS: Final = 2

_CLAIMS: Final = {verdict: f"claims_{verdict.name.lower()}" for verdict in Verdict}

# Claimants of others' names that we remember having told of.
CONFLICTS_MAX: Final = 64


class Core:
    """One node's view of the cluster and its part in keeping everyone's view the same."""

    def __init__(
        self,
        config: GossipConfig,
        identity: Identity,
        *,
        incarnation: Incarnation,
        seeds: Iterable[Address],
        chance: Chance,
        now_ms: int,
    ) -> None:
        """`incarnation` must be above any this replica ever used."""
        self.config = config
        self.own = Own(identity, incarnation)
        self.counts: Counter[str] = Counter()
        self.awareness = Awareness(config)
        self._seeds = tuple(s for s in seeds if s != identity.address)
        self._chance = chance
        self._table = Table(config, own_name=identity.name)
        self._suspicions: dict[ReplicaId, Suspicion] = {}
        self._broadcasts = Broadcasts(config)
        self._prober = Prober(config, identity.replica, chance, now_ms=now_ms)
        self._effects: list[Effect] = []
        self._events: list[MemberEvent] = []
        self._room_bytes = config.packet_bytes_max - SEAL_BYTES_MAX
        self._last_tick_ms = now_ms
        self._gossip_at_ms = now_ms
        self._push_pull_at_ms = now_ms + self._jittered(config.push_pull_interval_ms)
        self._seed_at_ms = now_ms
        self._conflicts: dict[ReplicaId, int] = {}
        self._broadcasts.put(self.own.claim())

    # What others ask of the core.

    def members(self, now_ms: int) -> list[Member]:
        """Everyone known, ourselves included, by replica id."""
        return sorted([self.own.member(now_ms), *self._table], key=lambda m: m.replica)

    def take_effects(self) -> list[Effect]:
        """What is to be done, once."""
        taken, self._effects = self._effects, []
        return taken

    def take_events(self) -> list[MemberEvent]:
        """What has happened, once."""
        taken, self._events = self._events, []
        return taken

    def next_deadline_ms(self) -> int:
        """When `tick` next has work."""
        due = [self._push_pull_at_ms]
        if not self.own.leaving:
            due.append(self._prober.deadline_ms())
            due += [s.due_ms for s in self._suspicions.values()]
        if self._seeds or self._table.has_gone:
            due.append(self._seed_at_ms)
        if self._broadcasts and len(self._table):
            due.append(self._gossip_at_ms)
        forget_ms = self._table.next_forget_ms()
        return min(due) if forget_ms is None else min(*due, forget_ms)

    def set_seeds(self, seeds: Iterable[Address]) -> None:
        """Where members are to be found from now on, whatever gossip knows of them."""
        self._seeds = tuple(s for s in seeds if s != self.own.identity.address)

    def set_meta(self, meta: bytes) -> None:
        """Say something new about ourselves."""
        if self.own.set_meta(meta):
            self._raise_incarnation(self.own.incarnation)

    def leave(self) -> None:
        """Say goodbye; keep ticking until it is `goodbye_said` or patience ends."""
        self.own.leaving = True
        self._broadcasts.put(Left(self.own.replica, self.own.incarnation))

    def goodbye_said(self, now_ms: int) -> bool:
        """Whether all news has been told often enough, or there is nobody to tell."""
        return not self._broadcasts or not self._table.told(now_ms)

    # Time.

    def tick(self, now_ms: int) -> None:
        """Do all that is due."""
        self._excuse_pause(now_ms)
        if not self.own.leaving:
            self._tick_probes(now_ms)
            self._tick_suspicions(now_ms)
        if self._broadcasts and now_ms >= self._gossip_at_ms:
            self._gossip(now_ms)
        self._tick_exchanges(now_ms)
        for member in self._table.forget_dead(now_ms):
            self._note(Change.FORGOTTEN, member)

    def _excuse_pause(self, now_ms: int) -> None:
        pause_ms = now_ms - max(self._last_tick_ms, min(self.next_deadline_ms(), now_ms))
        self._last_tick_ms = now_ms
        if pause_ms > PAUSE_INTERVALS * self.config.probe_interval_ms:
            self.counts["pauses"] += 1
            self._prober.excuse(now_ms)
            for suspicion in self._suspicions.values():
                suspicion.excuse(pause_ms)

    def _tick_probes(self, now_ms: int) -> None:
        steps = self._prober.tick(self._table, self.awareness, now_ms)
        for to, message in steps.sends:
            if isinstance(message, Ping):
                self.counts["probes"] += 1
            self._send(to, message, *self._buddy(message))
        for to, ping in steps.streams:
            self._effects.append(Exchange(to, ping))
        for member in steps.failed:
            self.counts["probes_failed"] += 1
            # By the incarnation we probed: if it has spoken since, the accusation is void.
            accusation = Suspect(member.replica, member.incarnation, self.own.replica)
            self._hear_claim(accusation, None, now_ms)

    def _buddy(self, message: Message) -> Iterable[Claim]:
        """What to say along with a ping: a suspect first of all hears that it is one (Lifeguard).

        Its answer is then a refutation, and does not wait for the rumour to come round.
        """
        if isinstance(message, Ping) and message.target in self._suspicions:
            held = self._table.claim_held(message.target, self.own.replica)
            return () if held is None else (held,)
        return ()

    def _tick_suspicions(self, now_ms: int) -> None:
        due = [(r, s) for r, s in self._suspicions.items() if now_ms >= s.due_ms]
        for replica, suspicion in due:
            incarnation = suspicion.incarnation
            if suspicion.take_appeal(now_ms):
                member = self._table.get(replica)
                assert member is not None
                accusation = Suspect(replica, incarnation, self.own.replica)
                self._send(member.address, accusation)
                continue
            self._hear_claim(Dead(replica, incarnation, self.own.replica), None, now_ms)

    def _gossip(self, now_ms: int) -> None:
        self._gossip_at_ms = now_ms + self.config.gossip_interval_ms
        told = self._table.told(now_ms)
        if not told:
            return
        for member in self._chance.sample(told, min(self.config.gossip_fanout, len(told))):
            self._send(member.address)

    def _tick_exchanges(self, now_ms: int) -> None:
        if now_ms >= self._push_pull_at_ms:
            up = self._table.up()
            self._push_pull_at_ms = now_ms + self._jittered(self.config.push_pull_ms(len(up) + 1))
            for member in self._chance.sample(up, min(1, len(up))):
                self._effects.append(Exchange(member.address, self._push_pull()))
        if now_ms >= self._seed_at_ms:
            self._seed_at_ms = now_ms + self._jittered(self.config.seed_retry_ms)
            known = {*self._seeds, *self._table.addresses_dead()}
            lost = sorted(known - self._table.addresses_up())
            for seed in self._chance.sample(lost, min(self.config.gossip_fanout, len(lost))):
                self._effects.append(Exchange(seed, self._push_pull()))

    # Hearing.

    def hear_packet(self, source: Address, messages: Sequence[Message], now_ms: int) -> None:
        """All messages of one packet."""
        for message in messages:
            match message:
                case Ping():
                    self._hear_ping(source, message)
                case PingReq():
                    if relayed := self._prober.relay(message, source, now_ms):
                        self._send(*relayed, *self._buddy(relayed[1]))
                case Ack():
                    if passed := self._prober.hear_ack(message, self.awareness):
                        self._send(*passed)
                case Nack():
                    self._prober.hear_nack(message)
                case PushPull():
                    self.counts["misplaced"] += 1  # a table does not travel in packets
                case _:
                    self._hear_claim(message, source, now_ms)

    def answer_exchange(self, request: Message, now_ms: int) -> Message | None:
        """The answer to a stream exchange another node began; nothing if it may not ask this."""
        match request:
            case PushPull():
                self._merge(request, now_ms)
                return self._push_pull()
            case Ping():
                return Ack(request.seq, self.own.replica) if self._is_me(request) else None
            case _:
                return None

    def hear_answer(self, answer: Message, now_ms: int) -> None:
        """The answer to an exchange we began."""
        match answer:
            case PushPull():
                self._merge(answer, now_ms)
            case Ack():
                self._prober.hear_ack(answer, self.awareness)
            case _:
                self.counts["misplaced"] += 1

    def _is_me(self, ping: Ping) -> bool:
        if ping.target == self.own.replica and not self.own.leaving:
            return True
        self.counts["pings_for_another"] += 1
        return False

    def _hear_ping(self, source: Address, ping: Ping) -> None:
        if not self._is_me(ping):
            return
        ack = Ack(ping.seq, self.own.replica)
        sender = self._table.get(ping.sender)
        if sender is None or sender.status is Status.ALIVE:
            self._send(source, ack)
            return
        # Whoever can ping us is alive: tell it what is held against it, so that it can object.
        held = self._table.claim_held(ping.sender, self.own.replica)
        assert held is not None
        self._send(source, ack, held)

    def _merge(self, other: PushPull, now_ms: int) -> None:
        for record in other.records:
            self._hear_record(record, other.sender, now_ms)

    def _hear_record(self, record: Record, teller: ReplicaId, now_ms: int) -> None:
        me = record.replica == self.own.replica
        if record.status.is_up and (me or not self._holds(record)):
            self._hear_claim(record.as_alive(), None, now_ms)
        match record.status:
            case Status.SUSPECT | Status.DEAD:
                # Another's verdict of death is only an accusation here: a node that both tables
                # know may be alive on our side, and shall have its time to object.
                accusation = Suspect(record.replica, record.incarnation, teller)
                self._hear_claim(accusation, None, now_ms)
            case Status.LEFT:
                self._hear_claim(Left(record.replica, record.incarnation), None, now_ms)
            case Status.ALIVE:
                pass

    def _holds(self, record: Record) -> bool:
        held = self._table.get(record.replica)
        return held is not None and held.incarnation >= record.incarnation

    def _hear_claim(self, claim: Claim, source: Address | None, now_ms: int) -> None:
        if claim.replica == self.own.replica:
            self._hear_about_us(claim, source, now_ms)
            return
        before = self._table.get(claim.replica)
        if before is not None and self._is_old_hat(claim, before):
            return
        if isinstance(claim, Alive):
            verdict = self._table.hear_alive(claim, self.own.incarnation, now_ms)
        else:
            verdict = self._table.hear_accusation(claim, self.own.incarnation, now_ms)
        self.counts[_CLAIMS[verdict]] += 1
        match verdict:
            case Verdict.NEWS:
                self._broadcasts.put(claim)
                self._after_news(before, claim, now_ms)
            case Verdict.KNOWN if isinstance(claim, Suspect):
                self._confirm(claim)
            case Verdict.STALE if isinstance(claim, Alive):
                self._correct(claim, source)
            case Verdict.CONFLICT:
                assert isinstance(claim, Alive)
                self._report_conflict(claim, now_ms)
            case _:
                pass

    def _is_old_hat(self, claim: Claim, held: Member) -> bool:
        """Nothing new, and nobody to be told better: most of what is heard, so told apart soon."""
        if claim.incarnation > held.incarnation:
            return False
        if isinstance(claim, Alive):
            return held.status is Status.ALIVE and claim.incarnation == held.incarnation
        return claim.incarnation < held.incarnation

    def _after_news(self, before: Member | None, claim: Claim, now_ms: int) -> None:
        after = self._table.get(claim.replica)
        assert after is not None
        if isinstance(claim, Suspect):
            self._suspicions[claim.replica] = Suspicion(
                self.config,
                incarnation=claim.incarnation,
                accuser=claim.accuser,
                members=self._table.up_count + 1,
                now_ms=now_ms,
            )
        else:
            self._suspicions.pop(claim.replica, None)
        if (change := change_between(before, after)) is not None:
            self._note(change, after)

    def _confirm(self, claim: Suspect) -> None:
        if self._suspicions[claim.replica].confirm(claim.accuser):
            self._broadcasts.put(claim)

    def _correct(self, claim: Alive, source: Address | None) -> None:
        """Tell a member that speaks with an old incarnation what is held about it.

        After a restart it may not know that it was buried at a higher one, and unless it hears so
        it would stay dead for ever (memberlist PR#345).
        """
        held = self._table.claim_held(claim.replica, self.own.replica)
        if held is not None and (source == claim.address or not isinstance(held, Alive)):
            self._send(claim.address, held)

    def _hear_about_us(self, claim: Claim, source: Address | None, now_ms: int) -> None:
        if self.own.leaving:
            return
        if claim.incarnation < self.own.incarnation:
            # It has not heard yet what we said to this.
            self._answer_accuser(claim, source)
            return
        if not plausible(claim.incarnation, self.own.incarnation):
            self.counts["claims_implausible"] += 1
            return
        if claim == self.own.claim():
            return
        self.counts["refutations"] += 1
        if isinstance(claim, Alive) and claim.address != self.own.identity.address:
            # We moved, or a copy of our data runs elsewhere; only people can tell which.
            self._report_conflict(claim, now_ms)
        if isinstance(claim, Suspect | Dead):
            self.awareness.add(1)  # whoever accuses us has a reason: perhaps we are slow
        self._raise_incarnation(claim.incarnation)
        self._answer_accuser(claim, source)

    def _answer_accuser(self, claim: Claim, source: Address | None) -> None:
        """Object to whoever told us, at once: it may be about to declare us dead."""
        if source is not None and isinstance(claim, Suspect | Dead):
            self._send(source, self.own.claim())

    def _raise_incarnation(self, above: Incarnation) -> None:
        self.own.incarnation = above + 1
        self._broadcasts.put(self.own.claim())

    def _report_conflict(self, claim: Alive, now_ms: int) -> None:
        """Told now and then for as long as it lasts: somebody has to look at it."""
        told_ms = self._conflicts.get(claim.replica)
        if told_ms is not None and now_ms - told_ms < self.config.conflict_told_ms:
            return
        self._conflicts.pop(claim.replica, None)
        self._conflicts[claim.replica] = now_ms
        if len(self._conflicts) > CONFLICTS_MAX:
            del self._conflicts[next(iter(self._conflicts))]  # dicts keep order: the oldest
        refused = Member(
            claim.replica,
            claim.name,
            claim.host,
            claim.port,
            claim.incarnation,
            Status.DEAD,
            claim.meta,
            now_ms,
        )
        self._note(Change.CONFLICT, refused)

    # Speaking.

    def _send(self, to: Address, *messages: Message) -> None:
        """Send a packet, filled up with news."""
        members = self._table.up_count + 1
        room = self._room_bytes - sum(map(packed_bytes, messages))
        news = self._broadcasts.take(room, members=members)
        packet = (*messages, *(n for n in news if n not in messages))
        if packet:
            self._effects.append(Send(to, packet))

    def _push_pull(self) -> PushPull:
        return PushPull(self.own.replica, (self.own.record(), *self._table.records()))

    def _note(self, change: Change, member: Member) -> None:
        self._events.append(MemberEvent(change, member))

    def _jittered(self, interval_ms: int) -> int:
        return int(interval_ms * (0.5 + self._chance.random()))
