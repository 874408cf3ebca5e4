"""SELECT, EXAMINE, CLOSE and UNSELECT (RFC 9051 6.3.2, 6.3.3, 6.4.1, 6.4.2)."""

from contextlib import suppress
from typing import Final

from protocols.imap import responses
from protocols.imap.commands import Close, Select
from protocols.imap.flags import SEEN
from protocols.imap.ops.context import Context
from protocols.imap.ops.copying import expunge_uids, marked_deleted
from protocols.imap.ops.listing import attributes_of, named_at, normalized, old_name
from protocols.imap.ops.places import find, need
from protocols.imap.ops.recent import decide_recent
from protocols.imap.ops.resync import resync
from protocols.imap.ops.urlauth import url_mechanisms
from protocols.imap.recent import Recents
from protocols.imap.responses import Ending, bad, object_id, ok, render_list, untagged_ok
from protocols.imap.selected import Selected, shown_id
from storage.engine import Rows
from storage.ids import render_mailbox
from storage.mail import mailboxes
from storage.mail.defined import defined
from storage.mail.errors import NoPermission
from storage.mail.uids import uid_rows
from storage.mail.url_keys import last_reset

# Messages that SELECT looks at from each end of a mailbox for the first unseen: half a millisecond.
UNSEEN_ROWS: Final = 256


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
    if not context.rev2:
        selected.recents = Recents()
        await decide_recent(context, selected, counts.uidnext)
    selected.lists.list_new(defined(view, account, mailbox.id), [])
    context.selected = selected
    out = context.out
    out.add(selected.lists.response())
    out.add(untagged_ok("Flags that stay", selected.permanent_flags()))
    out.add(responses.exists(len(selected.uids)))
    if selected.recents is not None:
        out.add(*_tell_rev1(selected, selected.recents, view, counts.unseen))
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


def _tell_rev1(selected: Selected, recents: Recents, rows: Rows, unseen: int) -> list[bytes]:
    """What RFC 3501 6.3.1 has told and RFC 9051 has no more: RECENT, and the first message unseen
    where that is found soon."""
    uids = selected.uids
    told = [recents.news(uids, len(uids)) or recents.response()]
    if (first := _first_unseen(selected, rows, unseen)) is not None:
        told.append(untagged_ok("First unseen", b"UNSEEN %d" % (first + 1)))
    return told


def _first_unseen(selected: Selected, rows: Rows, unseen: int) -> int | None:
    """The position of the first message without \\Seen. A mailbox is read from its end, so the
    newest messages have as many as there are, or else its oldest have one; None: neither."""
    if not unseen:
        return None
    account, mailbox, uids = selected.account, selected.mailbox, selected.uids
    oldest = uid_rows(rows, account, mailbox, limit=UNSEEN_ROWS)
    for uid, row in oldest:
        if SEEN not in row.keywords:
            return selected.position_of(uid)
    newest = uid_rows(rows, account, mailbox, uids[-UNSEEN_ROWS:][0])
    found = [uid for uid, row in newest if SEEN not in row.keywords]
    return selected.position_of(found[0]) if len(found) == unseen else None


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
