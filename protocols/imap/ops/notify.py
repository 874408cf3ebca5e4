"""NOTIFY (RFC 5465 3.1): what the client wants to hear of, from now on and at any time."""

from typing import Final

from protocols.imap.commands import Event, Notify, StatusItem
from protocols.imap.fetch_commands import FetchItem
from protocols.imap.notified import Notified
from protocols.imap.ops.context import Context
from protocols.imap.ops.listing import Named, status_line
from protocols.imap.ops.news import tell_news
from protocols.imap.ops.others import (
    is_denied,
    look_at_others,
    names_above,
    shared_line,
)
from protocols.imap.ops.panorama import Line, TooManyToWatch, look
from protocols.imap.responses import Ending, no, ok
from protocols.imap.selected import Heed
from storage.mail.annotations import last_change

_SUPPORTED: Final = b"BADEVENT (%b)" % b" ".join(event.value for event in Event)


async def notify(context: Context, command: Notify) -> Ending:
    """SET replaces what was asked before; NONE is SET without anything."""
    if command.unsupported:
        return no("There is no such event here", _SUPPORTED)
    if not command.groups:
        context.notify(Notified(()))
        return ok("NOTIFY completed")
    await context.barrier()
    wanted = Notified(command.groups)
    if wanted.looks_around:
        try:
            rows, me = context.local(), context.account
            wanted.known = look(context.door, rows, me)
            wanted.others = look_at_others(context.door, rows, me, wanted)
        except TooManyToWatch:
            return no("Too many mailboxes to watch", b"NOTIFICATIONOVERFLOW")
    if FetchItem.MODSEQ in wanted.items:
        context.know_modseqs()
    if context.selected is not None:
        context.selected.heeds = Heed.ALL  # RFC 5465 3.1: all that has gathered is told first
    await tell_news(context, expunges=True)
    held = context.notified
    if wanted.looks_around and held is not None and held.known is not None:
        wanted.known = held.known  # as far as was told by what was asked before
        told = {owner: lent for owner, lent in held.others.items() if owner in wanted.others}
        wanted.others = {**wanted.others, **told}
    if wanted.metadata and context.metadata_seen is None:
        context.metadata_seen = last_change(context.local(), context.account)
    context.notify(wanted)
    await _tell_standing(context, wanted, status=command.status)
    return ok("NOTIFY completed")


async def _tell_standing(context: Context, wanted: Notified, *, status: bool) -> None:
    """RFC 5465 3.1: with STATUS, where all mailboxes stand whose messages are to be told of; and
    those of others of which nothing can be told, for a right is lacking."""
    if status and wanted.known is not None:
        for mailbox, name in wanted.known.mailboxes.values():
            named = Named(mailbox, name, has_children=False)
            await _tell_status(context, named, wanted.events(mailbox, name))
    above = names_above(wanted.others)
    for lent in wanted.others.values():
        for one in lent.boxes.values():
            events = wanted.events_of_other(one.mailbox, one.name)
            if is_denied(one, events):
                context.out.add(shared_line(context, wanted, Line(one.name), one, above))
            elif status:
                named = Named(one.mailbox, one.name, has_children=False, owner=lent.owner)
                await _tell_status(context, named, events)


async def _tell_status(context: Context, named: Named, events: frozenset[Event]) -> None:
    holder = context.account if named.owner is None else named.owner
    selected = context.selected
    if selected and (selected.account, selected.mailbox) == (holder, named.mailbox.id):
        return
    if Event.MESSAGE_NEW not in events:
        return
    items: tuple[StatusItem, ...] = (
        StatusItem.MESSAGES,
        StatusItem.UIDNEXT,
        StatusItem.UIDVALIDITY,
    )
    if Event.FLAG_CHANGE in events:
        items += (StatusItem.HIGHESTMODSEQ,)
    context.out.add(status_line(context, context.local(), holder, named, items) or b"")
    if context.out.full:
        await context.out.flush()
