"""COPY, MOVE and EXPUNGE (RFC 9051 6.4.3, 6.4.7-6.4.9; RFC 6851, RFC 4315).

What fits one batch is one command on the account, all of it or nothing. A set too large for that
is done in several, and when one of them fails a COPY takes back what it made before it says NO.
What was expunged or moved is told by the session's catching up.
"""

from collections.abc import Iterable, Sequence
from typing import Final

import trio

from protocols.imap.commands import Copy, Expunge
from protocols.imap.flags import allowed
from protocols.imap.ops.carrying import MOVE_RIGHTS, carry_across, take_out
from protocols.imap.ops.catching_up import catch_up
from protocols.imap.ops.context import Context
from protocols.imap.ops.places import find, missing, need
from protocols.imap.ops.portions import in_portions
from protocols.imap.responses import Ending, no, ok, untagged_ok
from protocols.imap.selected import Positions
from protocols.imap.sets import render_listed
from protocols.ports import Unavailable
from storage.ids import AccountId, MailboxId
from storage.mail import sharing
from storage.mail.counts import read_counts
from storage.mail.errors import MailboxNotFound, MailError, TooManyEmails
from storage.mail.keywords import plan_store
from storage.mail.ledger import COMMAND_EMAILS_MAX
from storage.mail.messages import metas_at
from storage.mail.moves import plan_copy_uids, plan_expunge, plan_move_uids
from storage.mail.records import DELETED, Mailbox
from storage.mail.uids import uid_row, uid_rows
from storage.plan import Plan

Pairs = list[tuple[int, int]]

# Messages whose flags are cut down as they are copied: each is written twice in one batch.
GUEST_PORTION_MAX: Final = 100


async def copy(context: Context, command: Copy) -> Ending:
    """COPY and MOVE, by number or UID."""
    selected = context.mailbox
    verb = "MOVE" if command.move else "COPY"
    if command.move and selected.read_only:
        return no("The mailbox is selected read-only", b"CANNOT")
    positions = selected.positions(command.numbers, uid=command.uid)
    if command.move:
        positions = context.newest(positions)
    else:
        context.check_saved(positions)
    view = await context.reading()
    if command.move:
        selected.check(view, MOVE_RIGHTS)
    place = find(view, context.account, command.mailbox)
    try:
        target = need(place, "i")
    except MailboxNotFound:
        return missing(view, context.account, command.mailbox)
    uids = selected.uids_at(positions)
    selected.notice(context.local())
    if not command.uid and selected.any_gone(uids):
        # RFC 2180 4.4.1: what the client counts may be gone already; then nothing is copied
        return no("Some of the messages are gone", b"EXPUNGEISSUED")
    pairs: Pairs = []

    async def carry(portion: Sequence[int]) -> Sequence[int]:
        left: Sequence[int] = ()
        if place.account != selected.account:
            await carry_across(
                context, portion, place.account, target.id, move=command.move, pairs=pairs
            )
        else:
            carried = await _carry(context, portion, target, move=command.move)
            pairs.extend(carried)
            left = [uid for uid in portion if uid > carried[-1][0]] if carried else ()
        await context.progress(len(pairs), len(uids))
        return left

    try:
        await in_portions(uids, carry)
    except (MailError, Unavailable):
        if not command.move:
            await _take_back(context, place.account, target, pairs)
        elif pairs:
            context.out.add(_copied(target, pairs))
        raise
    if not pairs:
        return ok(f"{verb} completed")
    if command.move:
        # RFC 6851 4.3: the untagged OK comes before the EXPUNGEs
        context.out.add(_copied(target, pairs))
        return ok("MOVE completed", await highest_if_resync(context))
    return ok("COPY completed", copyuid(target, pairs))


def copyuid(target: Mailbox, pairs: Pairs) -> bytes:
    """RFC 9051 7.1 COPYUID: two lists of one length, in one order."""
    sources = render_listed(source for source, _ in pairs)
    copies = render_listed(copy for _, copy in pairs)
    return b"COPYUID %d %b %b" % (target.uidvalidity, sources, copies)


def _copied(target: Mailbox, pairs: Pairs) -> bytes:
    return untagged_ok("Moved", copyuid(target, pairs))


async def _carry(context: Context, uids: Sequence[int], target: Mailbox, *, move: bool) -> Pairs:
    """One command: the first of them, as many as it holds."""
    me, selected = context.account, context.mailbox
    account, source = selected.account, selected.mailbox
    plan_carry = plan_move_uids if move else plan_copy_uids

    def command(plan: Plan) -> Pairs:
        rights = sharing.check_right(plan, account, target.id, me, "i")
        selected.check(plan, "r" + MOVE_RIGHTS if move else "r")
        pairs = plan_carry(plan, account, source, uids, target.id)
        _drop_flags(plan, account, target.id, [copy for _, copy in pairs], rights)
        return pairs

    return await context.ports.writer.write(account, command)


def _drop_flags(
    plan: Plan, account: AccountId, mailbox: MailboxId, uids: Sequence[int], rights: str
) -> None:
    """RFC 4314 4: copies keep only the flags that one may set where they are."""
    if set("swt") <= set(rights):
        return
    if len(uids) > GUEST_PORTION_MAX:
        raise TooManyEmails("each is written twice: ask in smaller pieces")
    held = {
        keyword for _, meta in metas_at(plan, account, mailbox, uids) for keyword in meta.keywords
    }
    kept = allowed(sorted(held), rights)
    plan_store(plan, account, mailbox, uids, remove=sorted(held.difference(kept)))


async def _take_back(context: Context, account: AccountId, target: Mailbox, pairs: Pairs) -> None:
    """RFC 9051 6.4.7: a COPY that fails leaves the target as it was, as far as can be."""
    await remove_uids(context, account, target.id, [copy for _, copy in pairs])


async def expunge(context: Context, command: Expunge) -> Ending:
    """RFC 9051 6.4.3 EXPUNGE, 6.4.9 UID EXPUNGE: what has \\Deleted and, there, is in the set."""
    selected = context.mailbox
    if selected.read_only:
        return no("The mailbox is selected read-only", b"CANNOT")
    view = await context.barrier()
    selected.check(view, "e")
    selected.notice(view)
    positions = [(0, len(selected.uids))]
    if command.uids is not None:
        positions = selected.positions(command.uids, uid=True)
    uids = await marked_deleted(context, positions)
    if command.uids is not None:  # RFC 9738 3: neither EXPUNGE nor CLOSE is limited
        uids = context.newest_uids(uids)
    await expunge_uids(context, uids)
    return ok("EXPUNGE completed", await highest_if_resync(context) if uids else None)


async def highest_if_resync(context: Context) -> bytes | None:
    """RFC 7162 3.2.7, 3.2.9: the HIGHESTMODSEQ that an ending carries under QRESYNC, after all
    that the mailbox has seen up to it is told."""
    if not context.qresync:
        return None
    await catch_up(context, expunges=True, asked=True)
    return context.mailbox.modseq_code()


async def marked_deleted(context: Context, positions: Iterable[Positions]) -> list[int]:
    """The UIDs among these messages that have \\Deleted."""
    selected = context.mailbox
    counts = read_counts(context.local(), selected.account, selected.mailbox)
    if counts is None or not counts.deleted:
        return []
    found: list[int] = []
    for first, end in positions:
        for start in range(first, end, COMMAND_EMAILS_MAX):
            last = min(start + COMMAND_EMAILS_MAX, end) - 1
            rows = uid_rows(
                context.local(),
                selected.account,
                selected.mailbox,
                selected.uids[start],
                selected.uids[last],
            )
            found += [uid for uid, row in rows if DELETED in row.keywords]
            await trio.lowlevel.checkpoint()
    return found


async def expunge_uids(context: Context, uids: Sequence[int]) -> None:
    """Take these out of the selected mailbox, but for those that have lost \\Deleted since."""
    selected = context.mailbox
    account, mailbox = selected.account, selected.mailbox
    done = 0

    async def carry(portion: Sequence[int]) -> None:
        nonlocal done

        def command(plan: Plan) -> None:
            selected.check(plan, "e")
            rows = ((uid, uid_row(plan, account, mailbox, uid)) for uid in portion)
            still = [uid for uid, row in rows if row is not None and DELETED in row.keywords]
            plan_expunge(plan, account, mailbox, still)

        await context.ports.writer.write(account, command)
        done += len(portion)
        await context.progress(done, len(uids))

    await in_portions(uids, carry)


async def remove_uids(
    context: Context, account: AccountId, mailbox: MailboxId, uids: Sequence[int]
) -> None:
    """Take messages out of any mailbox, whatever their flags."""

    async def carry(portion: Sequence[int]) -> None:
        await take_out(context, account, mailbox, portion)

    await in_portions(uids, carry)
