"""COPY and MOVE between accounts: into what another shares, out of it, or from one to another.

An account's rows are its own, so nothing is copied as rows: each message comes in as mail does, and
one that is moved leaves its mailbox when it has arrived. Flags come along as far as one may set
them there (RFC 4314 4).
"""

from collections.abc import Sequence

from protocols.delivery import prepare
from protocols.imap.flags import allowed
from protocols.imap.ops.bodies import MessageGone, read_span
from protocols.imap.ops.context import Context
from protocols.imap.sections import Span
from protocols.ports import Unavailable
from storage.ids import AccountId, MailboxId
from storage.mail import sharing
from storage.mail.errors import MailError
from storage.mail.ingest import plan_ingest
from storage.mail.messages import meta
from storage.mail.moves import plan_expunge
from storage.mail.records import EmailMeta
from storage.mail.uids import uid_row
from storage.plan import Plan

Pairs = list[tuple[int, int]]

# RFC 6851 4.4: MOVE is COPY, STORE \Deleted and EXPUNGE in one.
MOVE_RIGHTS = "te"


async def carry_across(
    context: Context,
    uids: Sequence[int],
    owner: AccountId,
    target: MailboxId,
    *,
    move: bool,
    pairs: Pairs,
) -> None:
    """Bring messages of the selected mailbox to another account's; adds to `pairs` as it goes."""
    selected = context.mailbox
    for uid in uids:
        rows = context.local()
        selected.check(rows, "r")
        row = uid_row(rows, selected.account, selected.mailbox, uid)
        found = None if row is None else meta(rows, selected.account, row.email)
        if found is None:
            continue  # it is gone: RFC 9051 6.4.9
        copy = await _bring(context, uid, owner, target, found)
        if copy is None:
            continue
        if move:
            try:
                await _leave(context, uid)
            except MailError:
                await take_out(context, owner, target, [copy])
                raise
            except Unavailable:
                pairs.append((uid, copy))  # it may have left: two are better than none
                raise
        pairs.append((uid, copy))


async def _bring(
    context: Context, uid: int, owner: AccountId, target: MailboxId, found: EmailMeta
) -> int | None:
    """Copy one message; its UID there, None when it has gone. Raises Unavailable, Damaged too: that
    is no reason to leave it out."""
    room, selected = context.door.room, context.mailbox
    if not room.take(found.size):
        raise Unavailable("too many large messages at once")
    try:
        octets = await read_span(context, found.blob, Span(0, found.size))
        return await _arrive(context, owner, target, found, octets)
    except MessageGone as error:
        if uid_row(context.local(), selected.account, selected.mailbox, uid) is None:
            return None
        raise Unavailable("a message cannot be read just now") from error
    finally:
        room.give(found.size)


async def _arrive(
    context: Context, owner: AccountId, target: MailboxId, found: EmailMeta, octets: bytes
) -> int:
    """The message is in the target; its UID there."""
    me, selected = context.account, context.mailbox
    email = prepare(octets, received_ms=found.received_ms, east_minutes=found.east_minutes)

    def plan_arrival(plan: Plan) -> int:
        selected.check(plan, "r")
        rights = sharing.check_right(plan, owner, target, me, "i")
        keywords = allowed(found.keywords, rights)
        added = plan_ingest(plan, owner, email, mailboxes=[target], keywords=keywords)
        return dict(added.mailboxes)[target]

    return await context.ports.writer.write(owner, plan_arrival, blobs=[octets])


async def _leave(context: Context, uid: int) -> None:
    selected = context.mailbox

    def plan_leave(plan: Plan) -> None:
        selected.check(plan, MOVE_RIGHTS)
        plan_expunge(plan, selected.account, selected.mailbox, [uid])

    await context.ports.writer.write(selected.account, plan_leave)


async def take_out(
    context: Context, account: AccountId, mailbox: MailboxId, uids: Sequence[int]
) -> None:
    """Take messages that fit one command out of any mailbox, whatever their flags."""

    def plan_out(plan: Plan) -> None:
        plan_expunge(plan, account, mailbox, uids)

    await context.ports.writer.write(account, plan_out)
