"""Updating contexts: results of searches that the client is kept told of (RFC 5267 4.3). Sans-IO.

A context remembers its search and which messages matched it, by UID, in the order the client has
them. What is gone or matches no more is taken out, what now matches is put in, and both are told as
positions and sets; so client and server never differ on what a result list holds.

What would change without any change of a message, by time or by another's number, is not watched.
"""

from array import array
from bisect import bisect_left
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from protocols.imap.fetch_commands import Fetch
from protocols.imap.search_commands import (
    Aged,
    And,
    Criterion,
    Fuzzy,
    Not,
    Numbers,
    Or,
    SearchKey,
)
from protocols.imap.selected import Selected
from protocols.imap.sets import NUMBER_MAX, STAR, NumberSet, Range, render_ranges, runs
from protocols.imap.sorting import Sortable
from protocols.render.strings import render_string
from storage.ids import Version

# How many contexts one connection may have: each is asked of each change.
CONTEXTS_MAX: Final = 16
# What the contexts of one connection may remember. The first of them is always given (RFC 5267
# 4.3.1), however large the mailbox.
CONTEXTS_BYTES_MAX: Final = 4 * 1024 * 1024
# What one result costs, about: a UID; a UID with what it is sorted by.
FOUND_BYTES: Final = 4
RANKED_BYTES: Final = 300

Place = tuple[Any, ...]
"""What a result is sorted by, and its UID at the end."""
Parts = list[tuple[int, list[int]]]
"""Context positions and the UIDs put in or taken out there, in the order they are to be done."""


class Unwatchable(Exception):
    """The search changes its results by itself; no updates are given for it."""


class Found:
    """Results in the mailbox's order; their positions need not be told (RFC 5267 4.3.3: 0)."""

    __slots__ = ("_uids",)

    def __init__(self, uids: Iterable[int]) -> None:
        self._uids = array("I", uids)

    @property
    def octets(self) -> int:
        """What it takes of memory, about."""
        return len(self._uids) * FOUND_BYTES

    def __contains__(self, uid: int) -> bool:
        at = bisect_left(self._uids, uid)
        return at < len(self._uids) and self._uids[at] == uid

    def remove(self, uids: Iterable[int]) -> Parts:
        """Take out those of these UIDs that are in it."""
        out = sorted(uid for uid in set(uids) if uid in self)
        if not out:
            return []
        gone = frozenset(out)
        self._uids = array("I", [uid for uid in self._uids if uid not in gone])
        return [(0, out)]

    def add(self, places: Collection[Place]) -> Parts:
        """Put in results that are not in it."""
        if not places:
            return []
        new = sorted(place[-1] for place in places)
        self._uids = array("I", sorted([*self._uids, *new]))
        return [(0, new)]


class Ranked:
    """Results in the order of a SORT."""

    __slots__ = ("_order", "_places")

    def __init__(self, places: Iterable[Place]) -> None:
        self._order = sorted(places)
        self._places = {place[-1]: place for place in self._order}

    @property
    def octets(self) -> int:
        """What it takes of memory, about."""
        return len(self._order) * RANKED_BYTES

    def __contains__(self, uid: int) -> bool:
        return uid in self._places

    def remove(self, uids: Iterable[int]) -> Parts:
        """Take out those of these UIDs that are in it, the last first: the others stay in place."""
        places = [self._places.pop(uid) for uid in set(uids) if uid in self._places]
        parts: Parts = []
        for low, high in reversed(runs(sorted(bisect_left(self._order, one) for one in places))):
            parts.append((low + 1, [place[-1] for place in self._order[low : high + 1]]))
            del self._order[low : high + 1]
        return parts

    def add(self, places: Collection[Place]) -> Parts:
        """Put in results that are not in it: the first first, each at its last position."""
        parts: Parts = []
        for place in sorted(places):
            at = bisect_left(self._order, place)
            self._order.insert(at, place)
            self._places[place[-1]] = place
            if parts and parts[-1][0] + len(parts[-1][1]) == at + 1:
                parts[-1][1].append(place[-1])
            else:
                parts.append((at + 1, [place[-1]]))
        return parts


class _Backwards:
    """A value that sorts the other way round."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def __lt__(self, other: "_Backwards") -> bool:
        return bool(other.value < self.value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Backwards) and bool(self.value == other.value)

    __hash__ = None  # type: ignore[assignment]


def place_of(message: Sortable, uid: int, criteria: Sequence[Criterion]) -> Place:
    """Where a message stands in the order of the criteria: ties go by UID (sorting.in_order)."""
    values = zip(message.values, criteria, strict=True)
    return (*[_Backwards(one) if by.reverse else one for one, by in values], uid)


@dataclass(slots=True)
class Watched:
    """One updating context; `tag` is that of its search, `uid` whether UIDs are told, `fetch` what
    is told of new messages (RFC 5465 7)."""

    tag: bytes
    uid: bool
    key: SearchKey
    criteria: tuple[Criterion, ...]
    results: Found | Ranked
    fetch: Fetch | None = None
    mailbox: bytes = b""
    """Correlators that say which mailbox it is (RFC 7377 2.1)."""


class Contexts:
    """The updating contexts of a selected mailbox."""

    __slots__ = ("_by_tag", "pending", "seen", "selected")

    def __init__(self, selected: Selected, seen: Version) -> None:
        self._by_tag: dict[bytes, Watched] = {}
        self.selected = selected
        self.seen = seen
        """Changes up to this MODSEQ are known, and told or in `pending`."""
        self.pending: set[int] = set()
        """UIDs of messages that have changed and not been looked at since."""

    def __iter__(self) -> Iterator[Watched]:
        return iter(self._by_tag.values())

    def __contains__(self, tag: bytes) -> bool:
        return tag in self._by_tag

    def has_room(self, octets: int) -> bool:
        """Whether one more may be kept, which takes so much."""
        if not self._by_tag:
            return True
        held = sum(one.results.octets for one in self._by_tag.values())
        return len(self._by_tag) < CONTEXTS_MAX and held + octets <= CONTEXTS_BYTES_MAX

    def keep(self, watched: Watched) -> None:
        """Updates of this one are due from now on."""
        self._by_tag[watched.tag] = watched

    def cancel(self, tag: bytes) -> None:
        """RFC 5267 4.3.5."""
        del self._by_tag[tag]

    def tell_gone(self, out: list[bytes]) -> None:
        """Take out what is gone, and say so while the client still counts it (RFC 5267 4.3.4)."""
        gone = self.selected.gone
        if not gone:
            return
        for watched in self:
            if removed := watched.results.remove(gone):
                out.append(render_update(watched, self.selected, removed, []))


def render_update(watched: Watched, selected: Selected, removed: Parts, added: Parts) -> bytes:
    """RFC 5267 4.3.2: what is taken out, then what is put in."""
    said = [b"* ESEARCH (TAG %b%b)" % (render_string(watched.tag), watched.mailbox)]
    if watched.uid:
        said.append(b"UID")
    for name, parts in ((b"REMOVEFROM", removed), (b"ADDTO", added)):
        if parts:
            shown = [b"%d %b" % (at, _numbers(watched, selected, uids)) for at, uids in parts]
            said.append(b"%b (%b)" % (name, b" ".join(shown)))
    return b" ".join(said) + b"\r\n"


def _numbers(watched: Watched, selected: Selected, uids: Sequence[int]) -> bytes:
    if watched.uid:
        return render_ranges(runs(uids))
    positions = [selected.position_of(uid) for uid in uids]
    return render_ranges(runs(at + 1 for at in positions if at is not None))


def bound(key: SearchKey, selected: Selected) -> SearchKey:
    """The search with its numbers as they are now (RFC 5267 4.3); raises Unwatchable."""
    match key:
        case Numbers():
            return Numbers(_bound_numbers(key, selected), uid=True)
        case Aged():
            raise Unwatchable("Results that change with time are not watched")
        case Not():
            return Not(bound(key.key, selected))
        case Fuzzy():
            return Fuzzy(bound(key.key, selected))
        case Or():
            return Or(bound(key.left, selected), bound(key.right, selected))
        case And():
            return And(tuple([bound(one, selected) for one in key.keys]))
        case _:
            return key


def _bound_numbers(key: Numbers, selected: Selected) -> NumberSet:
    numbers = key.numbers
    if key.uid and not numbers.saved:
        last = selected.uids[-1] if selected.uids else 1
        return NumberSet(tuple([_bound_range(one, last) for one in numbers.ranges]))
    uids = selected.uids_at(selected.positions(numbers, uid=key.uid, strict=False))
    return NumberSet(tuple(runs(uids)))


def _bound_range(ends: Range, last: int) -> Range:
    """`7:*` are all from 7 on for good, once there are any; `*` alone is soon another."""
    low, high = ends
    if STAR not in ends:
        return ends
    first = low or high
    if first == STAR or first > last:
        raise Unwatchable("What the last message is changes")
    return first, NUMBER_MAX
