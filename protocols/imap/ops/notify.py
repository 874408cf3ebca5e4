"""NOTIFY (RFC 5465 3.1): what the client wants to hear of, from now on and at any time."""

from typing import Final

from protocols.imap.commands import Event, Notify, StatusItem
from protocols.imap.fetch_commands import FetchItem
from protocols.imap.notified import Notified, Panorama
from protocols.imap.ops.context import Context
from protocols.imap.ops.listing import Named, status_line
from protocols.imap.ops.news import tell_news
from protocols.imap.ops.panorama import TooManyToWatch, look
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
            wanted.known = look(context.door, context.local(), context.account)
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
    if wanted.metadata and context.metadata_seen is None:
        context.metadata_seen = last_change(context.local(), context.account)
    context.notify(wanted)
    if command.status and wanted.known is not None:
        await _tell_status(context, wanted, wanted.known)
    return ok("NOTIFY completed")


async def _tell_status(context: Context, wanted: Notified, known: Panorama) -> None:
    """RFC 5465 3.1: where all mailboxes stand whose messages are to be told of."""
    for mailbox, name in known.mailboxes.values():
        selected = context.selected
        if selected and selected.owner is None and selected.mailbox == mailbox.id:
            continue
        events = wanted.events(mailbox, name)
        if Event.MESSAGE_NEW not in events:
            continue
        items: tuple[StatusItem, ...] = (
            StatusItem.MESSAGES,
            StatusItem.UIDNEXT,
            StatusItem.UIDVALIDITY,
        )
        if Event.FLAG_CHANGE in events:
            items += (StatusItem.HIGHESTMODSEQ,)
        named = Named(mailbox, name, has_children=False)
        line = status_line(context.local(), context.account, named, items, context.utf8)
        context.out.add(line or b"")
        if context.out.full:
            await context.out.flush()
