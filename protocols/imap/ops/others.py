"""What others share with an account, as news of it is found (RFC 5465 3.1, 5.4, 5.9).

As with one's own mailboxes (imap/ops/panorama.py) nothing is queued: two looks are compared. Only
owners whose mailboxes a NOTIFY can cover are looked at. Whoever newly shares something is found
because its reader is told (storage/mail/sharing.py).

A mailbox that may be looked up and not read is \\NoAccess to whoever asked for its messages. One
that may not be looked up any more is \\NonExistent and \\NoAccess, and so is one that its owner has
deleted: which of both it was is not for others to know (RFC 4314 6).
"""

from collections.abc import Iterator
from typing import Final

import msgspec

from protocols.imap.commands import Event
from protocols.imap.notified import Lent, Notified, Shared
from protocols.imap.notify import MESSAGE_EVENTS
from protocols.imap.ops.context import Context, Door
from protocols.imap.ops.listing import Named, attributes_of
from protocols.imap.ops.panorama import Line, Names, TooManyToWatch, look
from protocols.imap.ops.places import owner_named, prefix_of, shadows_others
from protocols.imap.patterns import SEPARATOR
from protocols.imap.responses import render_list, render_mailbox
from storage.engine import Rows
from storage.ids import AccountId, MailboxId
from storage.mail import sharing
from storage.mail.state import version

# Other accounts that one NOTIFY may cover: each wakes the connection with all it does.
OWNERS_WATCHED_MAX: Final = 100
# Mailboxes that one account shares with another, when it is watched: their rights are read anew
# whenever the owner has changed anything.
SHARED_WATCHED_MAX: Final = 5_000


def look_at_others(
    door: Door, rows: Rows, me: AccountId, notified: Notified
) -> dict[AccountId, Lent]:
    """What others share now, by owner; raises TooManyToWatch."""
    if not notified.reaches_others or shadows_others(rows, me):
        return {}
    found: dict[AccountId, Lent] = {}
    for owner in sorted(_owners(rows, me, notified)):
        lent = _look_at(door, rows, me, owner)
        if lent is not None:
            found[owner] = lent
    return found


def _owners(rows: Rows, me: AccountId, notified: Notified) -> set[AccountId]:
    most, labels = OWNERS_WATCHED_MAX, notified.owners_named
    found: set[AccountId] = set()
    if notified.reaches_everyone:
        found |= sharing.sharing_owners(rows, me, most)
    if notified.reaches_subscribed:
        found |= sharing.followed_owners(rows, me, most)
    if len(labels) > most:
        raise TooManyToWatch
    found.update(owner for label in labels if (owner := owner_named(rows, label)) is not None)
    if len(found) > most:
        raise TooManyToWatch
    return found - {me}


def _look_at(door: Door, rows: Rows, me: AccountId, owner: AccountId) -> Lent | None:
    stamp = (version(rows, owner), version(rows, me))
    last = door.lent.get((me, owner))
    if last is not None and last.stamp == stamp:
        return last
    followed = sharing.followed_from(rows, me, owner)
    if last is not None and (last.stamp[0], last.followed) == (stamp[0], followed):
        # The reader has changed something of his own: rights go by the owner's version.
        lent = Lent(owner, stamp, last.panorama, last.boxes, followed)
        door.lent[me, owner] = lent
        return lent
    numbers, prefix = sharing.received_from(rows, me, owner), prefix_of(rows, owner)
    if not numbers or prefix is None:
        return None
    if len(numbers) > SHARED_WATCHED_MAX:
        raise TooManyToWatch
    panorama = look(door, rows, owner)
    boxes: dict[MailboxId, Shared] = {}
    for number in sorted(numbers):
        rights = sharing.rights(rows, owner, number, me)
        if "l" in rights:
            mailbox, name = panorama.mailboxes[number]
            its = msgspec.structs.replace(mailbox, role=None, subscribed=number in followed)
            boxes[number] = Shared(its, prefix + SEPARATOR + name, rights)
    if last is not None and last.boxes == boxes:
        boxes = last.boxes
    lent = Lent(owner, stamp, panorama, boxes, followed)
    door.lent[me, owner] = lent
    return lent


# --- names


def is_denied(shared: Shared, events: frozenset[Event]) -> bool:
    """RFC 5465 3.1: it may be looked up, and its messages may not be told of."""
    return "r" not in shared.rights and bool(events & MESSAGE_EVENTS)


def changed_others(
    before: Lent | None, after: Lent | None, notified: Notified, *, mine: bool
) -> Iterator[Line]:
    """What is to be told of one owner's mailboxes. `mine`: its reader's subscriptions were changed
    by this connection."""
    names = Names()
    was_boxes = {} if before is None else before.boxes
    now_boxes = {} if after is None else after.boxes
    if was_boxes is now_boxes:
        return names.lines()
    was_names = {box.name for box in was_boxes.values()}
    now_names = {box.name for box in now_boxes.values()}
    for number in sorted({*was_boxes, *now_boxes}):
        was, now = was_boxes.get(number), now_boxes.get(number)
        if was is None and now is not None:
            if _is_new(now, notified, mine=mine):
                names.add(now.name)
            _tell_above(names, now.name, was_names, now_names, notified)
        elif was is not None and now is None:
            if _is_missed(was, notified, mine=mine):
                names.lose(was.name)
            _tell_above(names, was.name, was_names, now_names, notified)
        elif was and now and was != now and _is_told(was, now, notified, mine=mine):
            if was.name == now.name:
                names.add(now.name)
            elif not _is_carried(was, now, was_boxes, now_boxes):
                names.add(now.name, was.name)
    return names.lines()


def _is_new(one: Shared, notified: Notified, *, mine: bool) -> bool:
    """RFC 5465 5.4: a right that is granted makes a mailbox; 5.9: what was told to be out of reach
    and is not, and what is."""
    events = notified.events_of_other(one.mailbox, one.name)
    if Event.MAILBOX_NAME in events or is_denied(one, events):
        return True
    if Event.SUBSCRIPTION_CHANGE in events and one.mailbox.subscribed and not mine:
        return True
    return bool(events) and one.name in notified.denied


def _is_missed(one: Shared, notified: Notified, *, mine: bool) -> bool:
    """RFC 5465 5.4: a right that is revoked deletes a mailbox; 5.9."""
    events = notified.events_of_other(one.mailbox, one.name)
    if Event.MAILBOX_NAME in events or events & MESSAGE_EVENTS:
        return True
    return Event.SUBSCRIPTION_CHANGE in events and one.mailbox.subscribed and not mine


def _tell_above(
    names: Names, name: str, was_names: set[str], now_names: set[str], notified: Notified
) -> None:
    """RFC 5465 5.4: the name right above one that is new or gone, whether it is a mailbox or not;
    but for one that was renamed or is gone too, of which is told anyhow."""
    above, _, _ = name.rpartition(SEPARATOR)
    if above in was_names and above not in now_names:
        return
    if Event.MAILBOX_NAME in notified.events_of_other(None, above):
        names.add(above)


def _is_told(was: Shared, now: Shared, notified: Notified, *, mine: bool) -> bool:
    """Of a mailbox that was there and is: its name, its rights, its subscription."""
    before = notified.events_of_other(was.mailbox, was.name)
    after = notified.events_of_other(now.mailbox, now.name)
    if was.name != now.name:
        return Event.MAILBOX_NAME in before | after
    if is_denied(was, before) != is_denied(now, after):
        return True
    changed = was.mailbox.subscribed != now.mailbox.subscribed and not mine
    return changed and Event.SUBSCRIPTION_CHANGE in before | after


def _is_carried(
    was: Shared, now: Shared, was_boxes: dict[MailboxId, Shared], now_boxes: dict[MailboxId, Shared]
) -> bool:
    """RFC 5465 5.4: it has its new name from one above that is told of."""
    if was.mailbox.parent != now.mailbox.parent or was.mailbox.name != now.mailbox.name:
        return False
    return now.mailbox.parent in was_boxes and now.mailbox.parent in now_boxes


def names_above(lent: dict[AccountId, Lent]) -> set[str]:
    """All that has a mailbox below it that one may see."""
    found: set[str] = set()
    for one in lent.values():
        for shared in one.boxes.values():
            above = shared.name.rpartition(SEPARATOR)[0]
            while above and above not in found:
                found.add(above)
                above = above.rpartition(SEPARATOR)[0]
    return found


def shared_line(
    context: Context, notified: Notified, line: Line, shared: Shared | None, above: set[str]
) -> bytes:
    """RFC 5465 5.4, 5.9: LIST of another's mailbox as it is now; None: there is none to see, but
    for a level above others."""
    name, extended = line.name, b""
    if line.gone or shared is None:
        attributes = [b"\\NonExistent"]
        if line.gone:
            attributes.append(b"\\NoAccess")
            notified.deny(name)
        elif name in above:
            attributes.append(b"\\HasChildren")
    else:
        attributes = attributes_of(Named(shared.mailbox, name, name in above))
        if shared.mailbox.subscribed:
            attributes.append(b"\\Subscribed")
        if is_denied(shared, notified.events_of_other(shared.mailbox, name)):
            attributes.append(b"\\NoAccess")
            notified.deny(name)
        else:
            notified.denied.pop(name, None)
    if line.old is not None:
        notified.denied.pop(line.old, None)
        extended = b'("OLDNAME" (%b))' % render_mailbox(line.old, utf8=context.utf8)
    return render_list(attributes, name, utf8=context.utf8, extended=extended)
