"""STORE and UID STORE (RFC 9051 6.4.6)."""

from collections.abc import Sequence
from typing import Final

from protocols.imap.commands import Store, StoreMode
from protocols.imap.flags import SEEN, allowed
from protocols.imap.ops.context import Context
from protocols.imap.ops.portions import in_portions
from protocols.imap.responses import Ending, no, ok
from protocols.imap.selected import Heed, Selected
from protocols.imap.sets import render_set
from storage.engine import Rows
from storage.ids import Version
from storage.mail.errors import NoPermission
from storage.mail.keywords import plan_store
from storage.mail.messages import metas_at
from storage.mail.records import EmailMeta
from storage.mail.uids import uid_row, uid_rows
from storage.plan import Plan

Keywords = tuple[str, ...]
_Stored = tuple[list[tuple[int, EmailMeta]], list[int], dict[int, Version]]

# UIDs so far apart that reading them one by one is cheaper than the range they are in.
SPARSE_MAX: Final = 4


async def store(context: Context, command: Store) -> Ending:
    """Change flags; answer with the new ones unless asked to be silent."""
    selected = context.mailbox
    if selected.read_only:
        return no("The mailbox is selected read-only", b"CANNOT")
    positions = context.newest(selected.positions(command.numbers, uid=command.uid))
    uids = selected.uids_at(positions)
    if command.unchanged_since is not None:
        context.know_modseqs()
    stored = 0
    modified: list[int] = []

    async def carry(portion: Sequence[int]) -> None:
        nonlocal stored

        def plan_portion(plan: Plan) -> _Stored:
            before = _modseqs(plan, selected, portion) if command.silent else {}
            add, remove, replace = _change(plan, selected, command, portion)
            messages, changed = plan_store(
                plan,
                selected.account,
                selected.mailbox,
                portion,
                add=add,
                remove=remove,
                replace=replace,
                unchanged_since=command.unchanged_since,
            )
            return messages, changed, before

        messages, changed, before = await context.ports.writer.write(selected.account, plan_portion)
        stored += len(messages)
        modified.extend(changed)
        _answer(context, command, messages, before)
        if context.out.full:
            await context.out.flush()

    await in_portions(uids, carry)
    code = _modified(selected, command, modified) if modified else None
    if stored + len(modified) < len(uids) and not command.uid:
        # RFC 2180 4.2.2: some that the client still counts are gone
        return no("Some of the messages are gone", code or b"EXPUNGEISSUED")
    return ok("STORE completed", code)


def _modified(selected: Selected, command: Store, uids: list[int]) -> bytes:
    """RFC 7162 3.1.3 MODIFIED: in the numbers that the command counts in."""
    if command.uid:
        return b"MODIFIED " + render_set(uids)
    places = (selected.position_of(uid) for uid in uids)
    return b"MODIFIED " + render_set(place + 1 for place in places if place is not None)


def _change(
    rows: Rows, selected: Selected, command: Store, uids: Sequence[int]
) -> tuple[Keywords, Keywords, Keywords | None]:
    """What to add, to remove, to replace all by. RFC 4314 4: of another's messages only what one
    may change, and raises NoPermission when that is nothing."""
    rights = selected.check(rows, "r")
    keywords = allowed(command.keywords, rights)
    if not set(rights) & set("swt") or len(keywords) < min(1, len(command.keywords)):
        raise NoPermission("Permission denied")
    match command.mode:
        case StoreMode.ADD:
            return keywords, (), None
        case StoreMode.REMOVE:
            return (), keywords, None
        case StoreMode.REPLACE:
            if selected.reader is None:
                return (), (), keywords
            held = metas_at(rows, selected.account, selected.mailbox, uids)
            there = {keyword for _, meta in held for keyword in meta.keywords}
            return keywords, allowed(sorted(there - set(keywords)), rights), None


def _modseqs(rows: Rows, selected: Selected, uids: Sequence[int]) -> dict[int, Version]:
    """When these messages changed last."""
    if uids[-1] - uids[0] < SPARSE_MAX * len(uids):
        found = uid_rows(rows, selected.account, selected.mailbox, uids[0], uids[-1])
        return {uid: row.modseq for uid, row in found}
    single = ((uid, uid_row(rows, selected.account, selected.mailbox, uid)) for uid in uids)
    return {uid: row.modseq for uid, row in single if row is not None}


def _answer(
    context: Context,
    command: Store,
    messages: list[tuple[int, EmailMeta]],
    before: dict[int, Version],
) -> None:
    """Tell the new flags, or in silence only what the client could not work out by itself.

    RFC 9051 6.4.6: a change by others is told also to who stored with .SILENT; who does not know
    of one from before its own STORE does not know the flags after it.
    """
    selected, lines = context.mailbox, context.out.lines
    for uid, meta in messages:
        position = selected.position_of(uid)
        assert position is not None, uid
        if command.silent:
            known = before[uid] <= selected.seen
            if known:
                selected.answered(uid, meta.modseq)
            if context.condstore and (known or selected.heeds is not Heed.ALL):
                # RFC 7162 3.1.3: also in silence; else it comes with the flags
                lines.append(selected.fetch_line(position, uid, b"MODSEQ (%d)" % meta.modseq))
            continue
        selected.answered(uid, meta.modseq)
        flags = selected.flags(uid, meta.keywords, lines)
        if context.condstore:
            line = selected.flags_line(position, uid, meta.keywords, meta.modseq, lines)
            lines.append(line)
        else:
            tells_uid, told = command.uid or context.rev2, b"FLAGS (%b)" % flags
            lines.append(selected.fetch_line(position, uid, told, tells_uid=tells_uid))
    context.out.count()


async def mark_seen(context: Context, uids: list[int]) -> None:
    """RFC 9051 6.4.5: reading a body without PEEK sets \\Seen; the FETCH will tell so."""
    selected, account = context.mailbox, context.mailbox.account

    async def carry(portion: Sequence[int]) -> None:
        def plan_seen(plan: Plan) -> list[tuple[int, EmailMeta]]:
            if "s" not in selected.check(plan, ""):
                return []
            return plan_store(plan, account, selected.mailbox, portion, add=(SEEN,))[0]

        for uid, meta in await context.ports.writer.write(account, plan_seen):
            selected.answered(uid, meta.modseq)

    await in_portions(uids, carry)
