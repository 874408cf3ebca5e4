"""Memberships by the index of the entry that brought them, and their bytes.

A configuration counts from the moment its entry is in the log, committed or not (paper 6). So the
one before is kept for as long as its successor can be truncated: taking entries back restores it.
Before the first entry stands the base: what the cluster was formed with, or what a snapshot says.

    membership   version u8 | voters, outgoing, learners, removed: count u16 each
                 | their ids u64, sorted, in that order
                 | contexts: count u16, then (replica u64, length u16, bytes) sorted by replica

A context is what the house keeps of a member (name, address); this room does not look inside.
"""

import struct
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Final

from raft.model import Entry, EntryKind, Index, Membership, ReplicaId

CONTEXT_BYTES_MAX: Final = 1024
# The largest cluster has 64 nodes; as many more may be on their way in or out.
MEMBERS_MAX: Final = 128
# Ids are 64 bits and never come back; a cluster that lost this many disks starts anew.
REMOVED_MAX: Final = 4096

_VERSION: Final = 1
_COUNTS: Final = struct.Struct(">BHHHH")
_U16: Final = struct.Struct(">H")
_CONTEXT: Final = struct.Struct(">QH")


class BadMembership(ValueError):
    """These bytes are not a membership of this version."""


def encode_membership(membership: Membership) -> bytes:
    """The one way to write this membership."""
    groups = (
        membership.voters,
        membership.outgoing,
        membership.learners,
        membership.removed,
    )
    ids = [replica for group in groups for replica in sorted(group)]
    parts = [_COUNTS.pack(_VERSION, *map(len, groups)), struct.pack(f">{len(ids)}Q", *ids)]
    parts.append(_U16.pack(len(membership.contexts)))
    for replica, context in membership.contexts:
        parts += [_CONTEXT.pack(replica, len(context)), context]
    return b"".join(parts)


# The same few are read again and again: at every start, and from every log that holds them.
@lru_cache(maxsize=64)
def decode_membership(data: bytes) -> Membership:
    """Bytes as a membership; BadMembership unless `encode_membership` writes just these."""
    try:
        membership = _read(data)
    except struct.error as error:
        raise BadMembership("a membership ends too early") from error
    if len(membership.everyone) > MEMBERS_MAX or len(membership.removed) > REMOVED_MAX:
        raise BadMembership("a membership larger than any that is written")
    if encode_membership(membership) != data:
        raise BadMembership("a membership in another order than it is written in")
    return membership


def _read(data: bytes) -> Membership:
    version, *counts = _COUNTS.unpack_from(data)
    if version != _VERSION:
        raise BadMembership(f"a membership of version {version}; ours is {_VERSION}")
    at = _COUNTS.size
    groups: list[frozenset[ReplicaId]] = []
    for count in counts:
        groups.append(frozenset(struct.unpack_from(f">{count}Q", data, at)))
        at += 8 * count
    (count,) = _U16.unpack_from(data, at)
    at += _U16.size
    contexts: list[tuple[ReplicaId, bytes]] = []
    for _ in range(count):
        replica, length = _CONTEXT.unpack_from(data, at)
        at += _CONTEXT.size
        contexts.append((replica, data[at : at + length]))
        at += length
    voters, outgoing, learners, removed = groups
    members = voters | outgoing | learners
    contexts_of = {replica for replica, _ in contexts}
    if learners & (voters | outgoing) or removed & members or not contexts_of <= members:
        raise BadMembership("a member that is two things at once")
    if [replica for replica, _ in contexts] != sorted(contexts_of):
        raise BadMembership("contexts out of order")
    return Membership(voters, outgoing, learners, removed, tuple(contexts))


class Configs:
    """The configurations that can still matter, oldest first; the last one is active."""

    def __init__(
        self,
        base: Membership,
        *,
        base_index: Index = 0,
        entries: Iterable[tuple[Index, Membership]] = (),
    ) -> None:
        """`base` counts from `base_index` on; `entries` are those of the log above it."""
        self._indexes: list[Index] = [base_index]
        self._memberships: list[Membership] = [base]
        for index, membership in entries:
            self._put(index, membership)
        self._choose()

    def _put(self, index: Index, membership: Membership) -> None:
        assert index > self._indexes[-1], (index, self._indexes)
        self._indexes.append(index)
        self._memberships.append(membership)

    def _choose(self) -> None:
        # Plain attributes: the active one is looked up for every message.
        self.active: Membership = self._memberships[-1]
        self.active_index: Index = self._indexes[-1]

    def append(self, entries: Sequence[Entry]) -> bool:
        """Entries joined the end of the log; whether one of them was a configuration."""
        found = [entry for entry in entries if entry.kind is EntryKind.CONFIG]
        for entry in found:
            self._put(entry.index, decode_membership(entry.payload))
        if found:
            self._choose()
        return bool(found)

    def truncate(self, first: Index) -> bool:
        """Entries from `first` on are taken back; whether that restored an older configuration."""
        before = len(self._indexes)
        while self._indexes[-1] >= first:
            assert len(self._indexes) > 1, (first, self._indexes)  # a base is never taken back
            self._indexes.pop()
            self._memberships.pop()
        self._choose()
        return len(self._indexes) < before

    def settle(self, index: Index) -> None:
        """Everything up to `index` is committed: what went before its configuration is over."""
        while len(self._indexes) > 1 and self._indexes[1] <= index:
            del self._indexes[0], self._memberships[0]

    def at(self, index: Index) -> Membership:
        """What counted at an index that has not been settled over."""
        place = len(self._indexes) - 1
        while place > 0 and self._indexes[place] > index:
            place -= 1
        return self._memberships[place]

    def any_counts(self, replica: ReplicaId, since: Index) -> bool:
        """Whether this replica votes by what counted at an index, or by anything later."""
        first = max(bisect_right(self._indexes, since) - 1, 0)
        return any(membership.counts(replica) for membership in self._memberships[first:])

    def install(self, index: Index, membership: Membership) -> None:
        """A snapshot takes the place of everything up to `index`, and of all that followed."""
        self._indexes, self._memberships = [index], [membership]
        self._choose()
