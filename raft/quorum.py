"""Majorities, simple and joint (paper 6): who has won, and what is agreed.

Inside a joint change both majorities must agree. Learners are never looked at here.
"""

from collections.abc import Mapping
from enum import Enum, auto

from raft.model import Membership, ReplicaId


class Vote(Enum):
    """How an election stands."""

    WON = auto()
    LOST = auto()
    OPEN = auto()


def majority(size: int) -> int:
    """How many of `size` are more than half."""
    return size // 2 + 1


def vote_result(membership: Membership, votes: Mapping[ReplicaId, bool]) -> Vote:
    """Won when a majority of every half granted; lost when one half can no longer do so."""
    result = _vote_of(membership.voters, votes)
    if membership.outgoing:
        other = _vote_of(membership.outgoing, votes)
        if Vote.LOST in (result, other):
            return Vote.LOST
        return Vote.WON if result is other is Vote.WON else Vote.OPEN
    return result


def _vote_of(voters: frozenset[ReplicaId], votes: Mapping[ReplicaId, bool]) -> Vote:
    granted = sum(1 for voter in voters if votes.get(voter) is True)
    refused = sum(1 for voter in voters if votes.get(voter) is False)
    needed = majority(len(voters))
    if granted >= needed:
        return Vote.WON
    return Vote.LOST if len(voters) - refused < needed else Vote.OPEN


def agreed(membership: Membership, reached: Mapping[ReplicaId, int]) -> int:
    """The largest number that a majority (of both halves) has reached; absent means 0.

    It answers for the commit index, for read rounds, and for when a quorum was last heard.
    """
    lowest = _agreed_of(membership.voters, reached)
    if membership.outgoing:
        lowest = min(lowest, _agreed_of(membership.outgoing, reached))
    return lowest


def _agreed_of(voters: frozenset[ReplicaId], reached: Mapping[ReplicaId, int]) -> int:
    numbers = sorted([reached.get(voter, 0) for voter in voters], reverse=True)
    return numbers[len(numbers) // 2] if numbers else 0
