"""SELECT, EXAMINE, CLOSE and UNSELECT (RFC 9051 6.3.2, 6.3.3, 6.4.1, 6.4.2)."""

from contextlib import suppress

from protocols.imap import responses
from protocols.imap.commands import Close, Select
from protocols.imap.ops.context import Context
from protocols.imap.ops.copying import expunge_uids, marked_deleted
from protocols.imap.ops.listing import attributes_of, named_at, normalized, old_name
from protocols.imap.ops.places import find, need
from protocols.imap.ops.resync import resync
from protocols.imap.ops.urlauth import url_mechanisms
from protocols.imap.responses import Ending, bad, object_id, ok, render_list, untagged_ok
from protocols.imap.selected import Selected, shown_id
from storage.ids import render_mailbox
from storage.mail import mailboxes
from storage.mail.errors import NoPermission
from storage.mail.url_keys import last_reset


async def select(context: Context, command: Select) -> Ending:
    """RFC 9051 6.3.2; a SELECT that fails leaves no mailbox selected."""
    if command.resync is not None and not context.qresync:
        return bad("ENABLE QRESYNC comes first")  # RFC 7162 3.2.5
    if context.selected is not None:
        context.selected = None
        context.out.add(untagged_ok("Previous mailbox closed", b"CLOSED"))
    if command.condstore:
        context.know_modseqs()
    view = await context.barrier()
    place = find(view, context.account, command.mailbox)
    while await context.warm(place.account, need(place, "r").id):
        place = find(view, context.account, command.mailbox)
    mailbox, account = need(place, "r"), place.account
    counts = mailboxes.counts(view, account, mailbox.id)
    index = context.door.indexes.get(view, account, mailbox.id)
    selected = Selected(
        account,
        mailbox.id,
        command.mailbox,
        index.uids,
        counts.modseq,
        # RFC 4314 5.2
        read_only=command.read_only or not set(place.rights) & set("ieswt"),
        reader=None if place.own else context.account,
        rights=place.rights,
    )
    selected.shows_modseq, selected.vanishes = context.condstore, context.qresync
    selected.by_uid, selected.heeds = context.uid_only, context.heeds
    selected.keys_seen = last_reset(view, context.account)
    context.selected = selected
    out = context.out
    out.add(selected.flags_response())
    out.add(untagged_ok("Flags that stay", selected.permanent_flags()))
    out.add(responses.exists(len(selected.uids)))
    if not context.rev2:
        out.add(b"* 0 RECENT\r\n")  # RFC 3501 7.3.2; RFC 9051 has it no more
    out.add(untagged_ok("UIDs valid", b"UIDVALIDITY %d" % mailbox.uidvalidity))
    out.add(untagged_ok("Next UID", b"UIDNEXT %d" % counts.uidnext))
    out.add(selected.highest_modseq())
    # RFC 8474 4.2
    named_id = shown_id(selected.owner, render_mailbox(mailbox.id))
    out.add(untagged_ok("Its id", b"MAILBOXID " + object_id(named_id)))
    if (mechanisms := url_mechanisms(context)) is not None:
        out.add(untagged_ok("How URLs are authorized", mechanisms))
    if context.rev2:
        name = normalized(command.mailbox)
        told = attributes_of(named_at(view, context.account, place, name))
        old = old_name(command.mailbox) if name != command.mailbox else b""
        out.add(render_list(told, name, utf8=True, extended=old))
    if command.resync is not None and command.resync.uidvalidity == mailbox.uidvalidity:
        await resync(context, view, command.resync, counts.uidnext)
    verb = "EXAMINE completed" if command.read_only else "SELECT completed"
    return ok(verb, b"READ-ONLY" if selected.read_only else b"READ-WRITE")


async def close(context: Context, command: Close) -> Ending:
    """RFC 9051 6.4.1 CLOSE expunges in silence; 6.4.2 UNSELECT does not expunge."""
    selected = context.mailbox
    if command.expunge and not selected.read_only:
        view = await context.barrier()
        selected.notice(view)
        if not selected.deleted and "e" in selected.rights:
            uids = await marked_deleted(context, [(0, len(selected.uids))])
            with suppress(NoPermission):  # RFC 4314 4: without "e" it is closed all the same
                await expunge_uids(context, uids)
    context.selected = None
    return ok("CLOSE completed" if command.expunge else "UNSELECT completed")
