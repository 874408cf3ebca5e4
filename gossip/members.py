"""The member table: which claim wins, and what it means.

Claims about one member are ordered by (incarnation, status): a higher incarnation is later, and at
the same incarnation LEFT > DEAD > SUSPECT > ALIVE. The table only ever moves forward in that order,
so the order in which claims arrive does not matter once all have arrived.

The table never holds the member that we are; `core.py` answers for ourselves.
"""

from collections.abc import Iterator
from dataclasses import replace
from enum import Enum, auto

from gossip.config import GossipConfig
from gossip.messages import Alive, Claim, Dead, Left, Record, Suspect
from gossip.model import (
    INCARNATION_JUMP_MAX,
    INCARNATION_MAX,
    Address,
    Change,
    Incarnation,
    Member,
    ReplicaId,
    Status,
)


class Verdict(Enum):
    """What a claim did to the table."""

    NEWS = auto()
    """The table moved; tell others."""
    KNOWN = auto()
    """Exactly what we hold."""
    STALE = auto()
    """We hold something later; whoever claims this ought to hear it."""
    UNKNOWN = auto()
    """An accusation of a member we never met."""
    IMPLAUSIBLE = auto()
    """An incarnation no working machine would send."""
    CONFLICT = auto()
    """The name belongs to another living replica."""
    FULL = auto()
    """No room, and nobody dead to make some."""


def plausible(claimed: Incarnation, *known: Incarnation) -> bool:
    """Whether an incarnation could have come about by restarts and refutations."""
    return claimed <= min(max(known) + INCARNATION_JUMP_MAX, INCARNATION_MAX)


class Table:
    """Everybody else, by replica id."""

    __slots__ = (
        "_config",
        "_members",
        "_names",
        "_next_forget_ms",
        "_own_name",
        "_up",
        "up_count",
    )

    def __init__(self, config: GossipConfig, *, own_name: str) -> None:
        self._config = config
        self._own_name = own_name
        self._members: dict[ReplicaId, Member] = {}
        self._names: dict[str, ReplicaId] = {}
        self.up_count = 0
        """How many there are in `up`."""
        # Worked out anew only after the table moved.
        self._up: list[Member] | None = None
        self._next_forget_ms: int | None = None

    def __iter__(self) -> Iterator[Member]:
        return iter(self._members.values())

    def __len__(self) -> int:
        return len(self._members)

    def get(self, replica: ReplicaId) -> Member | None:
        """The row of one member."""
        return self._members.get(replica)

    def up(self) -> list[Member]:
        """Members we still count as such; not to be changed."""
        if self._up is None:
            self._up = [m for m in self._members.values() if m.status.is_up]
        return self._up

    def told(self, now_ms: int) -> list[Member]:
        """Members that news is sent to: those up, and the lately dead so that they can object."""
        since = now_ms - self._config.dead_gossip_ms
        return [
            m
            for m in self._members.values()
            if m.status < Status.DEAD or (m.status is Status.DEAD and m.changed_at_ms > since)
        ]

    def addresses_up(self) -> set[Address]:
        """Where the members that are up are reached."""
        return {m.address for m in self.up()}

    @property
    def has_gone(self) -> bool:
        """Whether anybody here counts as gone."""
        return self.up_count < len(self._members)

    def addresses_dead(self) -> set[Address]:
        """Where the dead were reached: a path may be back before they are forgotten."""
        if not self.has_gone:
            return set()
        return {m.address for m in self._members.values() if m.status is Status.DEAD}

    def hear_alive(self, claim: Alive, own: Incarnation, now_ms: int) -> Verdict:
        """A member's own word. `own` is our incarnation, a hint of what the time is."""
        held = self._members.get(claim.replica)
        if not plausible(claim.incarnation, own, held.incarnation if held else 0):
            return Verdict.IMPLAUSIBLE
        if held and claim.incarnation <= held.incarnation:
            same = held.status is Status.ALIVE and claim.incarnation == held.incarnation
            return Verdict.KNOWN if same else Verdict.STALE
        if claim.name == self._own_name or not self._free_name(claim):
            return Verdict.CONFLICT
        if held is None and not self._make_room():
            return Verdict.FULL
        self._store(_from_claim(claim, held, now_ms))
        return Verdict.NEWS

    def hear_accusation(
        self, claim: Suspect | Dead | Left, own: Incarnation, now_ms: int
    ) -> Verdict:
        """A word against a member, or its goodbye."""
        held = self._members.get(claim.replica)
        if held is None:
            return Verdict.UNKNOWN
        if not plausible(claim.incarnation, own, held.incarnation):
            return Verdict.IMPLAUSIBLE
        status = _status_claimed(claim)
        if (claim.incarnation, status) == (held.incarnation, held.status):
            return Verdict.KNOWN
        if (claim.incarnation, status) < (held.incarnation, held.status):
            return Verdict.STALE
        if status is Status.SUSPECT and not held.status.is_up:
            # It came back and was suspected since; its own word, with its address, is on the way.
            return Verdict.UNKNOWN
        since = held.changed_at_ms if status is held.status else now_ms
        self._store(
            replace(held, incarnation=claim.incarnation, status=status, changed_at_ms=since)
        )
        return Verdict.NEWS

    def forget_dead(self, now_ms: int) -> list[Member]:
        """Drop members gone for longer than `dead_forget_ms`; those dropped."""
        due_ms = self.next_forget_ms()
        if due_ms is None or now_ms < due_ms:
            return []
        before = now_ms - self._config.dead_forget_ms
        gone = [m for m in self if not m.status.is_up and m.changed_at_ms <= before]
        for member in gone:
            self._drop(member)
        return gone

    def next_forget_ms(self) -> int | None:
        """When `forget_dead` next has work."""
        if not self.has_gone:
            return None
        if self._next_forget_ms is None:
            gone = [m.changed_at_ms for m in self if not m.status.is_up]
            self._next_forget_ms = min(gone) + self._config.dead_forget_ms
        return self._next_forget_ms

    def records(self) -> list[Record]:
        """All rows, as they travel in an exchange."""
        return [
            Record(m.replica, m.incarnation, m.status, m.name, m.host, m.port, m.meta)
            for m in self._members.values()
        ]

    def claim_held(self, replica: ReplicaId, teller: ReplicaId) -> Claim | None:
        """What we hold of a member, as the claim that would tell another node so."""
        held = self._members.get(replica)
        return None if held is None else claim_of(held, teller)

    def _free_name(self, claim: Alive) -> bool:
        """Whether the claimant may carry its name: a name is kept by whoever lives under it."""
        holder = self._members.get(self._names.get(claim.name, claim.replica))
        if holder is None or holder.replica == claim.replica:
            return True
        if holder.status.is_up:
            return False
        self._drop(holder)  # a new replica under the old label: a node whose disk was replaced
        return True

    def _make_room(self) -> bool:
        if len(self._members) < self._config.members_max - 1:
            return True
        gone = [m for m in self if not m.status.is_up]
        if not gone:
            return False
        self._drop(min(gone, key=lambda m: (m.changed_at_ms, m.replica)))
        return True

    def _store(self, member: Member) -> None:
        held = self._members.get(member.replica)
        if held and held.name != member.name:
            del self._names[held.name]
        self._moved()
        self.up_count += member.status.is_up - (held is not None and held.status.is_up)
        self._members[member.replica] = member
        self._names[member.name] = member.replica

    def _moved(self) -> None:
        self._up = self._next_forget_ms = None

    def _drop(self, member: Member) -> None:
        self._moved()
        self.up_count -= self._members[member.replica].status.is_up
        del self._members[member.replica]
        del self._names[member.name]


def claim_of(member: Member, teller: ReplicaId) -> Claim:
    """The claim that says what a row says."""
    match member.status:
        case Status.ALIVE:
            return Alive(
                member.replica,
                member.incarnation,
                member.name,
                member.host,
                member.port,
                member.meta,
            )
        case Status.SUSPECT:
            return Suspect(member.replica, member.incarnation, teller)
        case Status.DEAD:
            return Dead(member.replica, member.incarnation, teller)
        case Status.LEFT:
            return Left(member.replica, member.incarnation)


def change_between(before: Member | None, after: Member) -> Change | None:
    """How a member's change looks from outside; none when only its incarnation moved."""
    match after.status:
        case Status.SUSPECT:
            return None if before and before.status is Status.SUSPECT else Change.SUSPECTED
        case Status.DEAD:
            return None if before and before.status is Status.DEAD else Change.DIED
        case Status.LEFT:
            return None if before and before.status is Status.LEFT else Change.LEFT
        case Status.ALIVE:
            return _change_alive(before, after)


def _change_alive(before: Member | None, after: Member) -> Change | None:
    if before is None or not before.status.is_up:
        return Change.JOINED
    if (before.name, before.address, before.meta) != (after.name, after.address, after.meta):
        return Change.UPDATED
    return Change.CLEARED if before.status is Status.SUSPECT else None


def _status_claimed(claim: Suspect | Dead | Left) -> Status:
    match claim:
        case Suspect():
            return Status.SUSPECT
        case Dead():
            return Status.DEAD
        case Left():
            return Status.LEFT


def _from_claim(claim: Alive, held: Member | None, now_ms: int) -> Member:
    since = held.changed_at_ms if held and held.status is Status.ALIVE else now_ms
    return Member(
        claim.replica,
        claim.name,
        claim.host,
        claim.port,
        claim.incarnation,
        Status.ALIVE,
        claim.meta,
        since,
    )
