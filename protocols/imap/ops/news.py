"""All news that a client is told without asking, in the order the RFCs have it.

The selected mailbox's first (RFC 9051 7.4, 7.5), then what NOTIFY asked to hear of messages that
are new in it, of annotations and of other mailboxes (RFC 5465 5). Told at the end of a command,
during IDLE, and after NOTIFY between commands too.
"""

from dataclasses import replace

import trio

from protocols.imap.commands import Event, StatusItem
from protocols.imap.fetch_commands import BinarySize, Fetch, FetchItem
from protocols.imap.notified import Notified, Panorama
from protocols.imap.ops.bodies import UnknownEncoding
from protocols.imap.ops.context import Context
from protocols.imap.ops.fetch import tell_messages
from protocols.imap.ops.listing import Named, attributes_of, status_line
from protocols.imap.ops.metadata_news import tell_metadata
from protocols.imap.ops.panorama import (
    Moved,
    TooManyToWatch,
    changed_names,
    look,
    moved_counts,
)
from protocols.imap.ops.updates import find_updates, tell_updates
from protocols.imap.responses import render_list, render_mailbox, untagged_ok
from protocols.imap.selected import Positions
from protocols.ports import Unavailable
from storage.engine import Rows
from storage.mail.mailbox_rows import child_ids


async def tell_news(
    context: Context, *, expunges: bool, asked: bool = False, waiting: bool = False
) -> None:
    """Say all that is due. `expunges`: EXPUNGE may be told now; `asked`: it is the answer;
    `waiting`: no command has ended."""
    context.catch_up(expunges=expunges, asked=asked, waiting=waiting)
    if context.selected is not None:
        await _tell_messages(context)
    tell_metadata(context)
    await _tell_around(context)
    context.own.clear()


async def _tell_messages(context: Context) -> None:
    """What NOTIFY and UPDATE want to know of messages that others have brought, in the order of RFC
    5465: those that come into the results of an UPDATE before that is told (7), the others after
    it (5.2); each in one FETCH.
    """
    selected, notified = context.mailbox, context.notified
    asked = None if notified is None else notified.fetch_of_new
    fresh = selected.take_fresh()
    updates = await find_updates(context)
    wanted = [(one.watched.fetch, one.came) for one in updates] if fresh else []
    if any(fetch is not None for fetch, _ in wanted):
        rest: list[Positions] = []
        for at in (at for first, end in fresh for at in range(first, end)):
            parts = [fetch for fetch, came in wanted if fetch and selected.uids[at] in came]
            if parts:
                await _tell_fresh(context, [*parts, *([asked] if asked else [])], [(at, at + 1)])
            else:
                rest.append((at, at + 1))
        fresh = rest
    await tell_updates(context, updates)
    if asked is not None:
        await _tell_fresh(context, [asked], fresh)


async def _tell_fresh(context: Context, parts: list[Fetch], fresh: list[Positions]) -> None:
    """FETCH of new messages, but of one's own (RFC 5465 5.2). None is marked read by being told."""
    items = frozenset[FetchItem]().union(*(one.items for one in parts))
    if context.condstore:
        items |= {FetchItem.MODSEQ}
    sections = tuple(dict.fromkeys(section for one in parts for section in one.sections))
    fetch = replace(parts[0], items=items, sections=sections)
    decoded = any(isinstance(item, BinarySize) or item.decoded for item in sections)
    own = context.own_of(context.mailbox.account)
    for portion in _one_by_one(fresh) if decoded else [fresh]:
        try:
            await tell_messages(context, fetch, portion, own)
        except (UnknownEncoding, Unavailable):
            # Nothing is said of this message yet: its parts cannot be decoded, or not now.
            await tell_messages(context, replace(fetch, sections=()), portion, own)
        await trio.lowlevel.checkpoint()


def _one_by_one(positions: list[Positions]) -> list[list[Positions]]:
    return [[(at, at + 1)] for first, end in positions for at in range(first, end)]


# --- other mailboxes


async def _tell_around(context: Context) -> None:
    notified = context.notified
    if notified is None or notified.known is None:
        return
    rows, before = context.local(), notified.known
    try:
        after = look(context.door, rows, context.account)
    except TooManyToWatch:
        context.notify(None)
        context.out.add(untagged_ok("Too many mailboxes to watch", b"NOTIFICATIONOVERFLOW"))
        return
    notified.known = after
    own = context.own_of(context.account)
    if all(version in own for version in _versions(before, after, len(own))):
        return
    for name, old in changed_names(before, after, notified).items():
        context.out.add(_list_line(context, rows, after, name, old))
    for moved in moved_counts(before, after):
        line = _moved_line(context, after, moved, notified)
        if line is not None:
            context.out.add(line)
        if context.out.full:
            await context.out.flush()


def _versions(before: Panorama, after: Panorama, most: int) -> range:
    """The versions between, or as many of them as show that they are more than `most`."""
    return range(before.version + 1, min(after.version, before.version + most + 1) + 1)


def _list_line(context: Context, rows: Rows, after: Panorama, name: str, old: str | None) -> bytes:
    """RFC 5465 5.4, 5.5: LIST with all attributes, and OLDNAME of what was renamed."""
    placed = next((one for one in after.mailboxes.values() if one[1] == name), None)
    if placed is None:
        return render_list([b"\\NonExistent"], name, utf8=context.utf8)
    mailbox, _ = placed
    named = Named(mailbox, name, bool(child_ids(rows, context.account, mailbox.id)))
    attributes = attributes_of(named)
    if mailbox.subscribed:
        attributes.append(b"\\Subscribed")
    extended = b""
    if old is not None:
        extended = b'("OLDNAME" (%b))' % render_mailbox(old, utf8=context.utf8)
    return render_list(attributes, name, utf8=context.utf8, extended=extended)


def _moved_line(
    context: Context, after: Panorama, moved: Moved, notified: Notified
) -> bytes | None:
    """RFC 5465 5.1-5.3: STATUS of a mailbox that is not the selected one."""
    placed = after.mailboxes.get(moved.mailbox)
    if placed is None or _is_selected(context, after, moved):
        return None
    events = notified.events(*placed)
    items: list[StatusItem] = []
    flags = Event.FLAG_CHANGE in events
    if Event.MESSAGE_NEW in events and moved.counts:
        items += [StatusItem.MESSAGES, StatusItem.UIDNEXT]
    if flags and moved.unseen:
        items.append(StatusItem.UNSEEN)
    modseqs = context.condstore or context.qresync
    if modseqs and (items or (flags and moved.flags)):
        items.append(StatusItem.HIGHESTMODSEQ)
    if not items and not (flags and moved.anew):
        return None
    named = Named(placed[0], placed[1], has_children=False)
    told = (StatusItem.UIDVALIDITY, *items)
    return status_line(context.local(), context.account, named, told, context.utf8)


def _is_selected(context: Context, after: Panorama, moved: Moved) -> bool:
    selected = context.selected
    return selected is not None and selected.owner is None and selected.mailbox == moved.mailbox
