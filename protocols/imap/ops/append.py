"""APPEND (RFC 9051 6.3.12, RFC 4315): a message goes the way all mail goes (protocols/delivery)."""

import trio

from protocols.delivery import prepare
from protocols.imap.commands import Append
from protocols.imap.ops.context import Context
from protocols.imap.patterns import SEPARATOR
from protocols.imap.responses import Ending, no, ok
from protocols.imap.sets import render_ranges, runs
from storage.batch import BatchError
from storage.mail import mailboxes
from storage.mail.errors import MailboxNotFound
from storage.mail.ingest import plan_ingest
from storage.plan import Plan


async def append(context: Context, command: Append) -> Ending:
    """Add one message, or several in one batch; OK means that all are durable on a majority."""
    account = context.account
    names = command.mailbox.split(SEPARATOR)
    view = await context.barrier()
    if mailboxes.by_path(view, account, names) is None:
        return no("No such mailbox", b"TRYCREATE")
    now_ms = context.ports.clock.now_ms()
    emails = []
    for message in command.messages:
        received_ms = now_ms if message.received_ms is None else message.received_ms
        emails.append(prepare(message.octets, received_ms=received_ms))
        await trio.lowlevel.checkpoint()

    def plan_append(plan: Plan) -> tuple[int, list[int]]:
        mailbox = mailboxes.by_path(plan, account, names)
        if mailbox is None:
            raise MailboxNotFound("no such mailbox")
        uids = []
        for message, email in zip(command.messages, emails, strict=True):
            keywords = message.keywords
            added = plan_ingest(plan, account, email, mailboxes=[mailbox.id], keywords=keywords)
            uids.append(dict(added.mailboxes)[mailbox.id])
        return mailbox.uidvalidity, uids

    blobs = [message.octets for message in command.messages]
    try:
        uidvalidity, uids = await context.ports.writer.write(account, plan_append, blobs=blobs)
    except MailboxNotFound:
        return no("No such mailbox", b"TRYCREATE")
    except BatchError:
        return no("Too many messages for one APPEND", b"LIMIT")
    told = render_ranges(runs(uids))
    return ok("APPEND completed", b"APPENDUID %d %b" % (uidvalidity, told))
