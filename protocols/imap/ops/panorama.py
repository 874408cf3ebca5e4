"""All mailboxes of an account at one version, and what two versions differ in (RFC 5465 5).

News of mailboxes that are not selected is found by comparing what the client was last told with
what is there now: nothing is queued, however much happens between two looks.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from protocols.imap.commands import Event
from protocols.imap.notified import Notified, Panorama, Placed
from protocols.imap.ops.context import Door
from protocols.imap.ops.listing import named_mailboxes
from storage import changes, keys
from storage.changes import TooOld
from storage.engine import Rows
from storage.ids import AccountId, MailboxId
from storage.keys import TypeCode
from storage.mail.mailbox_rows import TOP
from storage.mail.records import MailboxCounts, unpack_counts
from storage.mail.state import state, version

# An account with more mailboxes has none of them looked at: each look reads all their counts.
PANORAMA_MAILBOXES_MAX: Final = 5_000

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


class Names:
    """Names to be told by LIST, in the order they were found, each with what it was called."""

    __slots__ = ("found",)

    def __init__(self) -> None:
        self.found: dict[str, str | None] = {}

    def add(self, name: str, old: str | None = None) -> None:
        """Tell of `name`, which was `old`."""
        if old is not None or name not in self.found:
            self.found[name] = old


def changed_names(before: Panorama, after: Panorama, notified: Notified) -> dict[str, str | None]:
    """RFC 5465 5.4, 5.5: names to tell, each with its old one if it was renamed."""
    names = Names()
    if before.mailboxes is after.mailboxes:
        return names.found
    for number, was in before.mailboxes.items():
        now = after.mailboxes.get(number)
        if now is None:
            _came_or_went(names, was, before, after, notified)
        elif now[0] != was[0]:
            _moved(names, was, now, notified)
    for number, now in after.mailboxes.items():
        if number not in before.mailboxes:
            _came_or_went(names, now, before, after, notified)
    return names.found


def _came_or_went(
    names: Names, one: Placed, before: Panorama, after: Panorama, notified: Notified
) -> None:
    """RFC 5465 5.4: a mailbox that is new or gone, and the name right above it."""
    events = notified.events(*one)
    if Event.MAILBOX_NAME in events or (Event.SUBSCRIPTION_CHANGE in events and one[0].subscribed):
        names.add(one[1])
    parent = one[0].parent
    above = after.mailboxes.get(parent) or before.mailboxes.get(parent)
    if parent != TOP and above is not None and Event.MAILBOX_NAME in notified.events(*above):
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
        counts = (was.emails, was.uidnext) != (now.emails, now.uidnext)
        flags = held is not None and not counts and was.modseq != now.modseq
        yield Moved(number, counts, flags, was.unseen != now.unseen, anew)
