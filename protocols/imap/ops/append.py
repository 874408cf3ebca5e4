"""APPEND (RFC 9051 6.3.12, RFC 4315): a message goes the way all mail goes (protocols/delivery)."""

import trio

from protocols.delivery import prepare
from protocols.imap.commands import Append
from protocols.imap.ops.context import Context
from protocols.imap.patterns import SEPARATOR
from protocols.imap.responses import Ending, no, ok
from storage.mail import mailboxes
from storage.mail.errors import MailboxNotFound
from storage.mail.ingest import plan_ingest
from storage.plan import Plan


async def append(context: Context, command: Append) -> Ending:
    """Add one message; OK means that it is durable on a majority."""
    account = context.account
    names = command.mailbox.split(SEPARATOR)
    view = await context.barrier()
    if mailboxes.by_path(view, account, names) is None:
        return no("No such mailbox", b"TRYCREATE")
    received_ms = command.received_ms
    if received_ms is None:
        received_ms = context.ports.clock.now_ms()
    email = prepare(command.message, received_ms=received_ms)
    await trio.lowlevel.checkpoint()

    def plan_append(plan: Plan) -> tuple[int, int]:
        mailbox = mailboxes.by_path(plan, account, names)
        if mailbox is None:
            raise MailboxNotFound("no such mailbox")
        added = plan_ingest(plan, account, email, mailboxes=[mailbox.id], keywords=command.keywords)
        return mailbox.uidvalidity, dict(added.mailboxes)[mailbox.id]

    try:
        uidvalidity, uid = await context.ports.writer.write(
            account, plan_append, blobs=[command.message]
        )
    except MailboxNotFound:
        return no("No such mailbox", b"TRYCREATE")
    return ok("APPEND completed", b"APPENDUID %d %d" % (uidvalidity, uid))
