"""APPEND and REPLACE (RFC 9051 6.3.12, RFC 4315, RFC 8508): messages go the way all mail goes.

Each is one command on the account: all of it is done, or nothing.
"""

from collections.abc import Sequence

import trio

from protocols.delivery import prepare
from protocols.imap.append_commands import Append, NewMessage, Replace
from protocols.imap.flags import allowed
from protocols.imap.ops.carrying import MOVE_RIGHTS
from protocols.imap.ops.catenate import Assembly, Refused
from protocols.imap.ops.context import Context, OverLimit
from protocols.imap.ops.copying import highest_if_resync
from protocols.imap.ops.listing import tell_normalized
from protocols.imap.ops.places import missing, need, needed, still
from protocols.imap.responses import Ending, no, ok, untagged_ok
from protocols.imap.sets import render_ranges, runs
from storage.batch import BatchError
from storage.mail.errors import EmailNotFound, MailboxNotFound
from storage.mail.ingest import plan_ingest
from storage.mail.records import NewEmail
from storage.mail.replacing import plan_replace
from storage.plan import Plan


async def append(context: Context, command: Append) -> Ending:
    """Add one message, or several in one batch; OK means that all are durable on a majority."""
    if len(command.messages) > (most := context.door.save_limit) > 0:
        raise OverLimit(b"MESSAGELIMIT %d" % most)
    me, view = context.account, await context.barrier()

    def plan_append(plan: Plan) -> tuple[int, list[int]]:
        place = still(plan, me, command.mailbox, "i", account)
        mailbox = need(place, "i")
        uids = []
        for message, email in zip(command.messages, emails, strict=True):
            keywords = allowed(message.keywords, place.rights)  # RFC 4314 4
            added = plan_ingest(plan, account, email, mailboxes=[mailbox.id], keywords=keywords)
            uids.append(dict(added.mailboxes)[mailbox.id])
        return mailbox.uidvalidity, uids

    try:
        account = needed(view, me, command.mailbox, "i").account  # before the work is done
        with Assembly(context, view) as assembly:
            blobs = await assembly.put_together(command.messages)
            emails = await _prepared(context, command.messages, blobs)
            uidvalidity, uids = await context.ports.writer.write(account, plan_append, blobs=blobs)
    except MailboxNotFound:
        return missing(context.local(), me, command.mailbox)
    except Refused as refused:
        return refused.ending
    except BatchError:
        return no("Too many messages for one APPEND", b"LIMIT")
    tell_normalized(context, command.mailbox)
    return ok("APPEND completed", _appenduid(uidvalidity, uids))


async def replace(context: Context, command: Replace) -> Ending:
    """RFC 8508 3.4: the new message is added and the old one expunged, whatever its flags."""
    me, selected = context.account, context.mailbox
    account = selected.account
    if selected.read_only:
        return no("The mailbox is selected read-only", b"CANNOT")
    named = selected.uids_at(selected.positions(command.number, uid=command.uid))
    if not named:
        return no("No such message", b"NONEXISTENT")
    old = named[0]
    view = await context.barrier()

    def plan_both(plan: Plan) -> tuple[int, int]:
        selected.check(plan, MOVE_RIGHTS)
        place = still(plan, me, command.mailbox, "i", account)
        mailbox = need(place, "i")
        added = plan_replace(
            plan,
            account,
            email,
            mailbox=mailbox.id,
            source=selected.mailbox,
            uid=old,
            keywords=allowed(command.message.keywords, place.rights),
        )
        return mailbox.uidvalidity, dict(added.mailboxes)[mailbox.id]

    try:
        selected.check(view, MOVE_RIGHTS)
        if needed(view, me, command.mailbox, "i").account != account:
            return no("Only among mailboxes of one account", b"CANNOT")
        with Assembly(context, view) as assembly:
            blobs = await assembly.put_together([command.message])
            [email] = await _prepared(context, [command.message], blobs)
            uidvalidity, uid = await context.ports.writer.write(account, plan_both, blobs=blobs)
    except MailboxNotFound:
        return missing(context.local(), me, command.mailbox)
    except Refused as refused:
        return refused.ending
    except EmailNotFound:
        return no("The message is gone", b"NONEXISTENT" if command.uid else b"EXPUNGEISSUED")
    # RFC 8508 4.3: the client learns of the new message before the old one goes
    tell_normalized(context, command.mailbox)
    context.out.add(untagged_ok("Replacement message ready", _appenduid(uidvalidity, [uid])))
    context.catch_up(expunges=False)
    return ok("REPLACE completed", highest_if_resync(context))


async def _prepared(
    context: Context, messages: Sequence[NewMessage], octets: Sequence[bytes]
) -> list[NewEmail]:
    now_ms = context.ports.clock.now_ms()
    emails = []
    for message, content in zip(messages, octets, strict=True):
        received_ms = now_ms if message.received_ms is None else message.received_ms
        emails.append(prepare(content, received_ms=received_ms))
        await trio.lowlevel.checkpoint()
    return emails


def _appenduid(uidvalidity: int, uids: Sequence[int]) -> bytes:
    """RFC 9051 7.1 APPENDUID."""
    return b"APPENDUID %d %b" % (uidvalidity, render_ranges(runs(uids)))
