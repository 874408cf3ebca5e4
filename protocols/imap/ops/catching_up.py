"""What a client is told of its selected mailbox, as the moment allows (RFC 9051 5.2, 7.5)."""

from protocols.imap.ops.context import Context
from protocols.imap.ops.recent import decide_recent
from protocols.imap.responses import untagged_ok
from protocols.imap.selected import Heed
from storage.mail.defined import defined


async def catch_up(
    context: Context, *, expunges: bool, asked: bool = False, waiting: bool = False
) -> None:
    """Tell what has happened to the mailbox. `asked`: EXPUNGEs are the running command's answer,
    whatever NOTIFY says of news; `waiting`: no command has ended."""
    selected = context.selected
    if selected is None:
        return
    before, rights, seen = selected.uids, selected.rights, selected.seen
    selected.notice(context.local())
    if selected.seen != seen:
        names = defined(context.local(), selected.account, selected.mailbox)
        selected.lists.list_new(names, context.out.lines)
    if selected.uids:
        await decide_recent(context, selected, selected.uids[-1] + 1)
    out = context.out
    if selected.rights != rights and not selected.deleted:  # RFC 4314 5.1.1
        out.add(untagged_ok("Flags that stay now", selected.permanent_flags()))
    if (updating := context.updating) is not None:
        updating.tell_gone(out.lines)
    expunges = expunges and (asked or selected.heeds is not Heed.NOTHING)
    selected.tell(out.lines, expunges=expunges, waiting=waiting)
    out.count()
    version = selected.exact_at
    if selected.uids is not before and not selected.deleted and version is not None:
        selected.uids = context.door.indexes.offer(
            selected.account, selected.mailbox, version, selected.uids
        )
