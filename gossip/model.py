"""Who is talked about: members, their standing, and the numbers that order claims about them.

A member is known by its replica id, which lives as long as its data; its name is only a label for
people. An incarnation belongs to the member alone: only the member itself ever raises it, by
starting again or by refuting a rumour, so of two claims the higher incarnation is the later one.

This file holds values only. What a claim does to the table is in `members.py`.
"""

from collections.abc import MutableSequence, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final, Protocol, TypeVar

ReplicaId = int
Incarnation = int
Address = tuple[str, int]
"""Host and port; the same pair serves UDP for gossip and TCP for exchanges."""

T = TypeVar("T")

META_BYTES_MAX: Final = 512
"""What a member may say about itself; it rides in every claim, so it must leave packets room."""

NAME_CHARS_MAX: Final = 64
HOST_CHARS_MAX: Final = 255

# Incarnations start from the wall clock in milliseconds, about 2**41 today, so a member that was
# away for years still jumps by less than this; a claim that jumps further is a broken machine and
# believing it would leave the real member no number to answer with.
INCARNATION_JUMP_MAX: Final = 2**42
INCARNATION_MAX: Final = 2**62


class Status(IntEnum):
    """Standing of a member. At equal incarnation the larger value wins."""

    ALIVE = 0
    SUSPECT = 1
    DEAD = 2
    LEFT = 3

    @property
    def is_up(self) -> bool:
        """Whether we still talk to it as a member: a suspect is innocent until it is dead."""
        return self is Status.ALIVE or self is Status.SUSPECT


@dataclass(frozen=True, slots=True)
class Member:
    """One member as this node knows it."""

    replica: ReplicaId
    name: str
    host: str
    port: int
    incarnation: Incarnation
    status: Status
    meta: bytes
    changed_at_ms: int
    """When its status last changed here, on this node's own monotonic clock."""

    @property
    def address(self) -> Address:
        """Where it is reached."""
        return (self.host, self.port)


class Change(IntEnum):
    """What became of a member, as told to whoever listens."""

    JOINED = 1
    UPDATED = 2
    SUSPECTED = 3
    CLEARED = 4
    DIED = 5
    LEFT = 6
    FORGOTTEN = 7
    CONFLICT = 8
    """Two claim one name, or our own identity; the event carries the claimant not believed."""


@dataclass(frozen=True, slots=True)
class MemberEvent:
    """One change of one member."""

    change: Change
    member: Member


class Chance(Protocol):
    """The part of `random.Random` a core uses; cores are lent one and never import it."""

    def random(self) -> float:
        """A float in [0, 1)."""
        ...

    def shuffle(self, x: MutableSequence[Any], /) -> None:
        """Shuffle in place."""
        ...

    def sample(self, population: Sequence[T], k: int, /) -> list[T]:
        """Draw `k` different elements."""
        ...
