"""Which messages are \\Recent in a session: decided before it tells of them (RFC 3501 2.3.2).

Who may change the mailbox takes them, and nobody else sees them \\Recent then; who only looks
(EXAMINE, 6.3.2) leaves them to the next. One small write for each time that new messages of others
are told is what it costs, and none where nothing is new or another session was first.
"""

from bisect import bisect_left
from functools import partial

from protocols.imap.commands import StatusItem
from protocols.imap.ops.context import Context
from protocols.imap.selected import Selected
from protocols.ports import Unavailable
from storage.ids import AccountId, MailboxId
from storage.mail.counts import read_counts
from storage.mail.recent import first_recent, plan_take_recent
from storage.plan import Plan


async def decide_recent(context: Context, selected: Selected, upto: int) -> None:
    """Decide on messages with UIDs below `upto` that are about to be told."""
    recents = selected.recents
    if recents is None or upto <= recents.decided or selected.deleted:
        return
    account, mailbox = selected.account, selected.mailbox
    first = first_recent(context.local(), account, mailbox)
    if first < upto and not selected.read_only:
        take = partial(plan_take_recent, account=account, mailbox=mailbox, upto=upto)
        try:
            first = await context.ports.writer.write(account, take)
        except Unavailable:
            # "If it is not possible to determine whether or not this session is the first ...,
            # then that message SHOULD be considered recent": so `first` stays what it was.
            pass
    recents.decide(first, upto)


Taken = tuple[int, int]
"""What a session has taken: from one UID on, and below another."""


def plan_taken(plan: Plan, selected: Selected) -> Taken | None:
    """Take what a command of the session's own adds to the mailbox it has selected, in the same
    write, and with it all else that is new there."""
    if selected.recents is None or selected.read_only:
        return None
    account, mailbox = selected.account, selected.mailbox
    counts = read_counts(plan, account, mailbox)
    if counts is None:
        return None
    return plan_take_recent(plan, account, mailbox, counts.uidnext), counts.uidnext


async def count_recent(
    context: Context, account: AccountId, mailbox: MailboxId, items: tuple[StatusItem, ...]
) -> int:
    """RFC 3501 6.3.10 RECENT, as far as it is asked for."""
    if StatusItem.RECENT not in items or context.rev2:
        return 0
    uids = (await context.index(account, mailbox)).uids
    return len(uids) - bisect_left(uids, first_recent(context.local(), account, mailbox))
