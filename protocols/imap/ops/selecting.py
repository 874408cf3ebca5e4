"""SELECT, EXAMINE, CLOSE and UNSELECT (RFC 9051 6.3.2, 6.3.3, 6.4.1, 6.4.2)."""

from typing import Final

from protocols.imap import responses
from protocols.imap.commands import Close, Select
from protocols.imap.flags import KEYWORDS_KNOWN, SYSTEM_FLAGS, render_flag
from protocols.imap.ops.context import Context
from protocols.imap.ops.copying import expunge_uids, marked_deleted
from protocols.imap.ops.listing import attributes_of, named_as, normalized, old_name
from protocols.imap.ops.resync import resync
from protocols.imap.patterns import SEPARATOR
from protocols.imap.responses import Ending, bad, no, object_id, ok, render_list, untagged_ok
from protocols.imap.selected import Selected
from storage.ids import render_mailbox
from storage.mail import mailboxes

# RFC 9051 7.1 PERMANENTFLAGS: all that FLAGS lists stay (what it lists and this does not would
# not), and clients may make up keywords.
_PERMANENT: Final = b"PERMANENTFLAGS (%b \\*)" % b" ".join(
    [*SYSTEM_FLAGS, *map(render_flag, KEYWORDS_KNOWN)]
)


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
    account = context.account
    mailbox = mailboxes.by_path(view, account, command.mailbox.split(SEPARATOR))
    if mailbox is None:
        return no("No such mailbox", b"NONEXISTENT")
    counts = mailboxes.counts(view, account, mailbox.id)
    index = context.door.indexes.get(view, account, mailbox.id)
    selected = Selected(
        account,
        mailbox.id,
        command.mailbox,
        index.uids,
        counts.modseq,
        read_only=command.read_only,
    )
    selected.shows_modseq, selected.vanishes = context.condstore, context.qresync
    selected.heeds = context.heeds
    context.selected = selected
    out = context.out
    out.add(selected.flags_response())
    permanent = b"PERMANENTFLAGS ()" if command.read_only else _PERMANENT
    out.add(untagged_ok("Flags that stay", permanent))
    out.add(responses.exists(len(selected.uids)))
    if not context.rev2:
        out.add(b"* 0 RECENT\r\n")  # RFC 3501 7.3.2; RFC 9051 has it no more
    out.add(untagged_ok("UIDs valid", b"UIDVALIDITY %d" % mailbox.uidvalidity))
    out.add(untagged_ok("Next UID", b"UIDNEXT %d" % counts.uidnext))
    out.add(selected.highest_modseq())
    # RFC 8474 4.2
    out.add(untagged_ok("Its id", b"MAILBOXID " + object_id(render_mailbox(mailbox.id))))
    if context.rev2:
        name = normalized(command.mailbox)
        told = attributes_of(named_as(view, account, mailbox, name))
        old = old_name(command.mailbox) if name != command.mailbox else b""
        out.add(render_list(told, name, utf8=True, extended=old))
    if command.resync is not None and command.resync.uidvalidity == mailbox.uidvalidity:
        await resync(context, view, command.resync, counts.uidnext)
    if command.read_only:
        return ok("EXAMINE completed", b"READ-ONLY")
    return ok("SELECT completed", b"READ-WRITE")


async def close(context: Context, command: Close) -> Ending:
    """RFC 9051 6.4.1 CLOSE expunges in silence; 6.4.2 UNSELECT does not expunge."""
    selected = context.mailbox
    if command.expunge and not selected.read_only:
        view = await context.barrier()
        selected.notice(view)
        if not selected.deleted:
            uids = await marked_deleted(context, [(0, len(selected.uids))])
            await expunge_uids(context, uids)
    context.selected = None
    return ok("CLOSE completed" if command.expunge else "UNSELECT completed")
