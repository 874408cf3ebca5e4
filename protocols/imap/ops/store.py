"""STORE and UID STORE (RFC 9051 6.4.6)."""

from functools import partial

from protocols.imap.commands import Store, StoreMode
from protocols.imap.flags import SEEN
from protocols.imap.ops.context import Context
from protocols.imap.ops.copying import pieces
from protocols.imap.responses import Ending, no, ok
from protocols.imap.selected import Selected
from storage.mail.keywords import plan_store
from storage.mail.records import EmailMeta

Keywords = tuple[str, ...]


async def store(context: Context, command: Store) -> Ending:
    """Change flags; answer with the new ones unless asked to be silent."""
    selected = context.mailbox
    if selected.read_only:
        return no("The mailbox is selected read-only", b"CANNOT")
    uids = selected.uids_at(selected.positions(command.numbers, uid=command.uid))
    add, remove, replace = _change(command)
    stored = 0
    for portion in pieces(uids):
        plan = partial(
            plan_store,
            account=context.account,
            mailbox=selected.mailbox,
            uids=portion,
            add=add,
            remove=remove,
            replace=replace,
        )
        messages, _ = await context.ports.writer.write(context.account, plan)
        stored += len(messages)
        _answer(context, selected, messages, command)
        if context.out.full:
            await context.out.flush()
    if stored < len(uids) and not command.uid:
        # RFC 2180 4.2.2: some that the client still counts are gone
        return no("Some of the messages are gone", b"EXPUNGEISSUED")
    return ok("STORE completed")


def _change(command: Store) -> tuple[Keywords, Keywords, Keywords | None]:
    """What to add, to remove, to replace all by."""
    match command.mode:
        case StoreMode.ADD:
            return command.keywords, (), None
        case StoreMode.REMOVE:
            return (), command.keywords, None
        case StoreMode.REPLACE:
            return (), (), command.keywords


def _answer(
    context: Context, selected: Selected, messages: list[tuple[int, EmailMeta]], command: Store
) -> None:
    lines = context.out.lines
    for uid, meta in messages:
        position = selected.position_of(uid)
        assert position is not None, uid
        selected.answered(uid, meta.modseq)
        if command.silent:
            continue
        flags = selected.flags(meta.keywords, lines)
        if command.uid or context.rev2:
            lines.append(b"* %d FETCH (UID %d FLAGS (%b))\r\n" % (position + 1, uid, flags))
        else:
            lines.append(b"* %d FETCH (FLAGS (%b))\r\n" % (position + 1, flags))
    context.out.count()


async def mark_seen(context: Context, uids: list[int]) -> None:
    """RFC 9051 6.4.5: reading a body without PEEK sets \\Seen; the FETCH will tell so."""
    selected = context.mailbox
    for portion in pieces(uids):
        plan = partial(
            plan_store,
            account=context.account,
            mailbox=selected.mailbox,
            uids=portion,
            add=(SEEN,),
        )
        messages, _ = await context.ports.writer.write(context.account, plan)
        for uid, meta in messages:
            selected.answered(uid, meta.modseq)
