"""All mailboxes of an account at one version, and what two versions differ in (RFC 5465 5).

News of mailboxes that are not selected is found by comparing what the client was last told with
what is there now: nothing is queued, however much happens between two looks.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Final

from protocols.imap.commands import Event
from protocols.imap.notified import Notified, Panorama, Placed, upwards
from protocols.imap.ops.context import Door
from protocols.imap.ops.listing import named_mailboxes
from protocols.imap.patterns import SEPARATOR
from storage import changes, keys
from storage.changes import TooOld
from storage.engine import Rows
from storage.ids import AccountId, MailboxId
from storage.keys import TypeCode
from storage.mail.records import MailboxCounts, unpack_counts
from storage.mail.state import state, version

# An account with more mailboxes has none of them looked at: each look reads all their counts.
PANORAMA_MAILBOXES_MAX: Final = 5_000

# How often what was renamed between two looks is gone through for an order to tell it in.
RENAME_ROUNDS_MAX: Final = 16

_NEW: Final = MailboxCounts()


class TooManyToWatch(Exception):
    """NOTIFICATIONOVERFLOW (RFC 5465 5.8)."""


def look(door: Door, rows: Rows, account: AccountId) -> Panorama:
    """The account's mailboxes now; raises TooManyToWatch."""
    now = version(rows, account)
    last = door.panoramas.get(account)
    if last is not None and last.version == now:
        return last
    if state(rows, account).mailboxes > PANORAMA_MAILBOXES_MAX:
        raise TooManyToWatch
    if last is not None and not _tree_changed(rows, account, last):
        placed = last.mailboxes
    else:
        found = named_mailboxes(rows, account)
        placed = {named.mailbox.id: (named.mailbox, named.name) for named in found}
    counts = {
        keys.unpack_mailbox_counts_key(key): value
        for key, value in rows.scan(*keys.mailbox_counts_range(account))
    }
    panorama = Panorama(now, placed, counts)
    door.panoramas[account] = panorama
    return panorama


def _tree_changed(rows: Rows, account: AccountId, last: Panorama) -> bool:
    """Whether any mailbox has changed in more than its counts."""
    try:
        since = changes.since(rows, account, TypeCode.MAILBOX, last.version)
    except TooOld:
        return True
    return bool(since.created or since.destroyed or len(since.updated) > len(since.counted))


# --- names


@dataclass(frozen=True, slots=True)
class Line:
    """A name to be told by LIST."""

    name: str
    old: str | None = None
    """What the mailbox was called."""
    gone: bool = False
    """The mailbox of this name is no more; another may have it by now, and is told after."""


class Names:
    """Names to be told, each with what it was called."""

    __slots__ = ("_found", "_gone")

    def __init__(self) -> None:
        self._found: dict[str, str | None] = {}
        self._gone: dict[str, None] = {}

    def add(self, name: str, old: str | None = None) -> None:
        """Tell of `name`, which was `old`."""
        if old is not None or name not in self._found:
            self._found[name] = old

    def lose(self, name: str) -> None:
        """Tell that the mailbox that had this name is gone."""
        self._gone[name] = None

    def lines(self) -> Iterator[Line]:
        """In an order in which who does as he is told, line by line, ends with what there is: what
        is gone goes before anything takes its name or moves what it was in."""
        for name in self._gone:
            yield Line(name, gone=True)
        for name, old in in_order(self._found):
            yield Line(name, old)


def changed_names(before: Panorama, after: Panorama, notified: Notified) -> Iterator[Line]:
    """RFC 5465 5.4, 5.5: names to tell."""
    names = Names()
    if before.mailboxes is not after.mailboxes:
        for number, was in before.mailboxes.items():
            now = after.mailboxes.get(number)
            if now is None:
                if _is_told(was, notified):
                    names.lose(was[1])
                _tell_above(names, was, after, notified)
            elif now[0] != was[0]:
                _moved(names, was, now, notified)
        for number, now in after.mailboxes.items():
            if number not in before.mailboxes:
                if _is_told(now, notified):
                    names.add(now[1])
                _tell_above(names, now, after, notified)
    return names.lines()


def _is_told(one: Placed, notified: Notified) -> bool:
    """RFC 5465 5.4: a mailbox that is new or gone; 5.5."""
    events = notified.events(*one)
    return Event.MAILBOX_NAME in events or (
        Event.SUBSCRIPTION_CHANGE in events and one[0].subscribed
    )


def _tell_above(names: Names, one: Placed, after: Panorama, notified: Notified) -> None:
    """RFC 5465 5.4: the name right above one that is new or gone."""
    above = after.mailboxes.get(one[0].parent)
    if above is not None and Event.MAILBOX_NAME in notified.events(*above):
        names.add(above[1])


def _moved(names: Names, was: Placed, now: Placed, notified: Notified) -> None:
    """RFC 5465 5.4: names below one that was renamed are renamed in silence; 5.5."""
    events = notified.events(*was) | notified.events(*now)
    (old, old_name), (new, new_name) = was, now
    renamed = (old.name, old.parent) != (new.name, new.parent) and old_name != new_name
    if renamed and Event.MAILBOX_NAME in events:
        names.add(new_name, old_name)
    elif old.subscribed != new.subscribed and Event.SUBSCRIPTION_CHANGE in events:
        names.add(new_name)


def in_order(names: Mapping[str, str | None]) -> Iterator[tuple[str, str | None]]:
    """Names that there are, and old ones.

    A name is taken only when whoever had it, or what was above it, has been told to have moved. The
    old name is what the client calls it by then: what was above may have moved it already. Where
    names went round in a circle no order does: they are told as they are now, without old ones.
    """
    waiting = {name: old for name, old in names.items() if old is not None}
    containers = {above for old in waiting.values() for above in islice(upwards(old), 1, None)}
    for _ in range(RENAME_ROUNDS_MAX):
        left = set(waiting.values())
        for name in list(waiting):
            old = waiting[name]
            if any(above in left and above != old for above in upwards(name)):
                continue
            yield name, old
            del waiting[name]
            left.discard(old)
            if old in containers:
                waiting = {one: _carried(its, old, name) for one, its in waiting.items()}
                left = set(waiting.values())
                containers |= {above for its in left for above in islice(upwards(its), 1, None)}
        if not waiting:
            break
    yield from ((name, None) for name in waiting)
    yield from ((name, None) for name, old in names.items() if old is None)


def _carried(name: str, old: str, new: str) -> str:
    """What a name is when `old`, perhaps above it, is `new`."""
    return new + name.removeprefix(old) if name.startswith(old + SEPARATOR) else name


# --- counts


@dataclass(frozen=True, slots=True)
class Moved:
    """What has changed of the messages of a mailbox."""

    mailbox: MailboxId
    counts: bool
    """Messages came or went."""
    flags: bool
    """Messages have changed, and none came or went."""
    unseen: bool
    """The number of messages without \\Seen."""
    anew: bool
    """Another mailbox had this name: UIDVALIDITY is new."""


def moved_counts(before: Panorama, after: Panorama) -> Iterator[Moved]:
    """The mailboxes in which anything has changed, by id."""
    taken = None
    for number, packed in after.counts.items():
        held = before.counts.get(number)
        if held == packed:
            continue
        anew = False
        if held is None:
            if taken is None:
                taken = {name for _, name in before.mailboxes.values()}
            anew = number in after.mailboxes and after.mailboxes[number][1] in taken
        was = _NEW if held is None else unpack_counts(held)
        now = unpack_counts(packed)
        counts = anew or (was.emails, was.uidnext) != (now.emails, now.uidnext)
        flags = held is not None and not counts and was.modseq != now.modseq
        yield Moved(number, counts, flags, was.unseen != now.unseen, anew)
