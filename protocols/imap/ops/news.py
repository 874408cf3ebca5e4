"""All news that a client is told without asking, in the order the RFCs have it.

The selected mailbox's first (RFC 9051 7.4, 7.5), then what NOTIFY asked to hear of messages that
are new in it, of annotations and of other mailboxes (RFC 5465 5). Told at the end of a command,
during IDLE, and after NOTIFY between commands too.
"""

from dataclasses import replace

import trio

from protocols.imap.commands import Event, StatusItem
from protocols.imap.fetch_commands import BinarySize, Fetch, FetchItem
from protocols.imap.notified import Lent, Notified, Panorama
from protocols.imap.ops.bodies import UnknownEncoding
from protocols.imap.ops.catching_up import catch_up
from protocols.imap.ops.context import Context
from protocols.imap.ops.fetch import tell_messages
from protocols.imap.ops.listing import Named, attributes_of, status_line
from protocols.imap.ops.metadata_news import tell_metadata, tell_metadata_of
from protocols.imap.ops.others import changed_others, look_at_others, names_above, shared_line
from protocols.imap.ops.panorama import (
    Line,
    Moved,
    TooManyToWatch,
    changed_names,
    look,
    moved_counts,
)
from protocols.imap.ops.updates import find_updates, tell_updates
from protocols.imap.ops.urlauth import tell_reset
from protocols.imap.responses import render_list, render_mailbox, untagged_ok
from protocols.imap.selected import Positions
from protocols.ports import Unavailable
from storage.engine import Rows
from storage.ids import AccountId
from storage.mail.mailbox_rows import child_ids


async def tell_news(
    context: Context, *, expunges: bool, asked: bool = False, waiting: bool = False
) -> None:
    """Say all that is due. `expunges`: EXPUNGE may be told now; `asked`: it is the answer;
    `waiting`: no command has ended."""
    await catch_up(context, expunges=expunges, asked=asked, waiting=waiting)
    if context.selected is not None:
        await _tell_messages(context)
    tell_reset(context)
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
    rows, before, others = context.local(), notified.known, notified.others
    try:
        after = look(context.door, rows, context.account)
        notified.others = look_at_others(context.door, rows, context.account, notified)
    except TooManyToWatch:
        context.notify(None)
        context.out.add(untagged_ok("Too many mailboxes to watch", b"NOTIFICATIONOVERFLOW"))
        return
    notified.known = after
    own = context.own_of(context.account)
    mine = all(version in own for version in _versions(before.version, after.version, len(own)))
    if not mine:
        for line in changed_names(before, after, notified):
            context.out.add(_list_line(context, rows, after, line))
        await _tell_moved(context, notified, before, after, None)
    if others or notified.others:
        await _tell_others(context, notified, others, mine=mine and before.version < after.version)


async def _tell_others(
    context: Context, notified: Notified, before: dict[AccountId, Lent], *, mine: bool
) -> None:
    """What others share. `mine`: this connection alone has changed its account meanwhile."""
    now, above = notified.others, None
    for owner in sorted({*before, *now}):
        was, one = before.get(owner), now.get(owner)
        if was is one or (was and one and _is_own(context, owner, was, one)):
            continue
        shown = {} if one is None else {shared.name: shared for shared in one.boxes.values()}
        for line in changed_others(was, one, notified, mine=mine):
            above = names_above(now) if above is None else above
            context.out.add(shared_line(context, notified, line, shown.get(line.name), above))
        if was is not None and one is not None:
            tell_metadata_of(context, was, one)
            await _tell_moved(context, notified, was.panorama, one.panorama, one)


def _is_own(context: Context, owner: AccountId, was: Lent, one: Lent) -> bool:
    """This connection alone has changed both accounts between."""
    for account, old, new in zip((owner, context.account), was.stamp, one.stamp, strict=True):
        own = context.own_of(account)
        if not all(version in own for version in _versions(old, new, len(own))):
            return False
    return True


def _versions(before: int, after: int, most: int) -> range:
    """The versions between, or as many of them as show that they are more than `most`."""
    return range(before + 1, min(after, before + most + 1) + 1)


def _list_line(context: Context, rows: Rows, after: Panorama, line: Line) -> bytes:
    """RFC 5465 5.4, 5.5: LIST with all attributes, and OLDNAME of what was renamed."""
    name, old = line.name, line.old
    if line.gone:
        return render_list([b"\\NonExistent"], name, utf8=context.utf8)
    placed = next(one for one in after.mailboxes.values() if one[1] == name)
    mailbox, _ = placed
    named = Named(mailbox, name, bool(child_ids(rows, context.account, mailbox.id)))
    attributes = attributes_of(named)
    if mailbox.subscribed:
        attributes.append(b"\\Subscribed")
    extended = b""
    if old is not None:
        extended = b'("OLDNAME" (%b))' % render_mailbox(old, utf8=context.utf8)
    return render_list(attributes, name, utf8=context.utf8, extended=extended)


async def _tell_moved(
    context: Context, notified: Notified, before: Panorama, after: Panorama, lent: Lent | None
) -> None:
    """RFC 5465 5.1-5.3: STATUS of mailboxes that are not the selected one; `lent`: of another's."""
    for moved in moved_counts(before, after):
        if lent is None:
            holder, placed = context.account, after.mailboxes.get(moved.mailbox)
            if placed is None:
                continue
            events = notified.events(*placed)
            named = Named(*placed, has_children=False)
        else:
            holder, shared = lent.owner, lent.boxes.get(moved.mailbox)
            if shared is None or "r" not in shared.rights:
                continue
            events = notified.events_of_other(shared.mailbox, shared.name)
            named = Named(shared.mailbox, shared.name, has_children=False, owner=holder)
        selected = context.selected
        if selected and (selected.account, selected.mailbox) == (holder, moved.mailbox):
            continue
        items = _items(context, moved, events)
        if items is not None:
            line = status_line(context, context.local(), holder, named, items)
            context.out.add(line or b"")
        if context.out.full:
            await context.out.flush()


def _items(
    context: Context, moved: Moved, events: frozenset[Event]
) -> tuple[StatusItem, ...] | None:
    """What is told of a mailbox that is not selected; None: nothing."""
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
    return (StatusItem.UIDVALIDITY, *items)
